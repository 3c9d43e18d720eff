"""The ops: what the engine can do with a model and a picture. Their fields are their parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from segviz.engine.errors import TooLargeError
from segviz.engine.memory_budget import (
    SHRINKS,
    fitting_shrink,
    forward_need,
    is_out_of_memory,
    release_memory,
    scale_note,
    too_large_error,
)
from segviz.engine.request import OpResult, ReportProgress
from segviz.settings import MIB

if TYPE_CHECKING:
    from segviz.attribution import Options, Target
    from segviz.prediction.predictor import Predictor


@dataclass(frozen=True)
class Predict:
    """Labels, confidence and maps; at half or a quarter of the scale if memory does not suffice."""

    long: ClassVar[bool] = False

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes of the forward at the largest scale that fits."""
        return forward_need(size, fitting_shrink(size, budget))

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A Prediction."""
        size = (image.shape[0], image.shape[1])
        first = fitting_shrink(size, budget)
        for shrink in SHRINKS[SHRINKS.index(first) :]:
            report(0, 1)
            call = predictor if shrink == 1 else partial(predictor, shrink=shrink)
            try:
                return OpResult(call(image), (scale_note(shrink),) if shrink > 1 else (), keep=shrink == first)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            release_memory()  # only here is the frame of the failed forward, with its tensors, gone
        raise too_large_error(size, budget)


@dataclass(frozen=True, eq=False)
class Attribute:
    """Which pixels drive a class's logit: `segviz.attribution.attribute` with these arguments.

    It works on a private copy of the model, because Captum registers hooks. Options that the method ignores are set to
    their defaults, so that they do not change the key.

    Raises:
        AttributionError: the method is unknown.
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
        if self.target.mask is not None:  # sessions share the answer and its target: a copy cannot change
            mask = self.target.mask.copy()
            object.__setattr__(self, "target", replace(self.target, mask=mask))

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes that the gradients may take; they leave room for a forward, so that predictions continue."""
        return self._bound_options(size, budget).memory_mib * MIB

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """An Attribution."""
        from segviz.attribution import attribute

        step = (0, 1)

        def progress(done: int, total: int) -> None:
            nonlocal step
            step = done, total
            report(done, total)

        bounded = self._bound_options((image.shape[0], image.shape[1]), budget)
        try:
            return OpResult(attribute(
                predictor, image, self.method, self.target, options=bounded, progress=progress,
                check=lambda: report(*step),
            ))  # fmt: skip
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release_memory()
        raise TooLargeError(
            "this attribution needs more memory than is available; use Occlusion, which keeps no gradients, or try "
            "again when fewer people are using the server"
        )

    def _bound_options(self, size: tuple[int, int], budget: int) -> Options:
        room = budget - forward_need(size, fitting_shrink(size, budget))
        return replace(self.options, memory_mib=max(1, min(self.options.memory_mib, room // MIB)))
