"""The ops: what can be done with a model and a picture. Their fields are their parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from segviz.engine.machine import MIB
from segviz.engine.memory import SHRINKS, fitting_shrink, forward_need, is_out_of_memory, release, scale_note, too_large
from segviz.engine.request import Made, Tell, TooLargeError

if TYPE_CHECKING:
    from segviz.attribution import Options, Target
    from segviz.predict import Predictor


@dataclass(frozen=True)
class Predict:
    """Labels, confidence and maps; at half or a quarter of the scale where memory does not suffice."""

    long: ClassVar[bool] = False

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes of the forward at the largest scale that fits."""
        return forward_need(size, fitting_shrink(size, budget))

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, tell: Tell) -> Made:
        """A Prediction."""
        size = (image.shape[0], image.shape[1])
        first = fitting_shrink(size, budget)
        for shrink in SHRINKS[SHRINKS.index(first) :]:
            tell(0, 1)
            call = predictor if shrink == 1 else partial(predictor, shrink=shrink)
            try:
                return Made(call(image), (scale_note(shrink),) if shrink > 1 else (), keep=shrink == first)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            release()  # only now has the failed forward's frame let go of its tensors
        raise too_large(size, budget)


@dataclass(frozen=True, eq=False)
class Attribute:
    """Which pixels a class's logit hangs on; `segviz.attribution.attribute` with these arguments.

    It works on a private copy of the model, because Captum registers hooks; its progress is the answer's.
    """

    method: str
    target: Target
    options: Options
    long: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.target.mask is not None:  # the answer is shared, and holds the target: nobody may change it later
            mask = self.target.mask.copy()
            object.__setattr__(self, "target", replace(self.target, mask=mask))

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes that the gradients may keep."""
        return self._bounded(budget).memory_mib * MIB

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, tell: Tell) -> Made:
        """An Attribution."""
        from segviz.attribution import attribute  # Captum takes a second to import

        bounded = self._bounded(budget)
        try:
            return Made(attribute(predictor, image, self.method, self.target, options=bounded, progress=tell))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release()
        raise TooLargeError(
            "this attribution needs more memory than there is; use Occlusion, which keeps no gradients, or try again "
            "when fewer people are here"
        )

    def _bounded(self, budget: int) -> Options:
        return replace(self.options, memory_mib=max(1, min(self.options.memory_mib, budget // MIB)))
