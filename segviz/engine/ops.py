"""The ops: what can be done with a model and a picture. Their fields are their parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from segviz.engine.capacity import MIB
from segviz.engine.memory_budget import (
    SHRINKS,
    fitting_shrink,
    forward_need,
    is_out_of_memory,
    release,
    scale_note,
    too_large,
)
from segviz.engine.request import Made, Tell, TooLargeError

if TYPE_CHECKING:
    from segviz.attribution import Options, Target
    from segviz.prediction.predictor import Predictor


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

    It works on a private copy of the model, because Captum registers hooks; its progress is the answer's. Options that
    the method does not heed are put back to their defaults, so that they make no other question of it.

    Raises:
        AttributionError: there is no such method.
    """

    method: str
    target: Target
    options: Options
    long: ClassVar[bool] = True

    def __post_init__(self) -> None:
        from segviz.attribution import Options  # Captum takes a second to import
        from segviz.attribution.methods import method_of

        heeded = {name: getattr(self.options, name) for name in method_of(self.method).heeds}
        object.__setattr__(self, "options", Options(memory_mib=self.options.memory_mib, **heeded))
        if self.target.mask is not None:  # the answer is shared, and holds the target: nobody may change it later
            mask = self.target.mask.copy()
            object.__setattr__(self, "target", replace(self.target, mask=mask))

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes that the gradients may keep; a forward has room beside them, so that predictions go on."""
        return self._bounded(size, budget).memory_mib * MIB

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, tell: Tell) -> Made:
        """An Attribution."""
        from segviz.attribution import attribute

        at = (0, 1)

        def progress(done: int, total: int) -> None:
            nonlocal at
            at = done, total
            tell(done, total)

        bounded = self._bounded((image.shape[0], image.shape[1]), budget)
        try:
            return Made(attribute(
                predictor, image, self.method, self.target, options=bounded, progress=progress,
                check=lambda: tell(*at),
            ))  # fmt: skip
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release()
        raise TooLargeError(
            "this attribution needs more memory than there is; use Occlusion, which keeps no gradients, or try again "
            "when fewer people are here"
        )

    def _bounded(self, size: tuple[int, int], budget: int) -> Options:
        room = budget - forward_need(size, fitting_shrink(size, budget))
        return replace(self.options, memory_mib=max(1, min(self.options.memory_mib, room // MIB)))
