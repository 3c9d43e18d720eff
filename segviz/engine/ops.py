"""The ops: what the engine can do with a model and a picture. Their fields are their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segviz.engine.errors import TooLargeError
from segviz.engine.memory_budget import (
    SHRINKS,
    fitting_shrink,
    forward_need,
    influence_need,
    release_memory,
    scale_note,
    too_large_error,
)
from segviz.engine.request import DEADLINE_S, LONG_DEADLINE_S, OpResult, ReportProgress
from segviz.image import SeenSize, working_size
from segviz.runtime.out_of_memory import is_out_of_memory
from segviz.settings import MIB

if TYPE_CHECKING:
    from segviz.attribution import Attribution, Options, Target
    from segviz.prediction.predictor import Predictor
    from segviz.prediction.similarity import Stage


class ForwardOp:
    """An op of one forward; at half or a quarter of the scale if memory does not suffice.

    Attributes:
        own_size: whether the model sees the picture at its own size, at most 1024 x 2048, and not at that of training.
    """

    own_size: bool
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = DEADLINE_S

    @staticmethod
    def estimate(size: tuple[int, int], shrink: int, wanted: SeenSize) -> int:
        """Bytes at a part of the scale, see `forward_need`."""
        return forward_need(size, shrink, wanted)

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes at the largest scale that fits."""
        wanted = self._seen_size()
        return self.estimate(size, fitting_shrink(size, budget, need=self.estimate, wanted=wanted), wanted)

    def _shrink(
        self, predictor: Predictor, image: np.ndarray, budget: int, compute: Callable[[Predictor, int], object]
    ) -> OpResult:
        """What is computed with the predictor, as it sees pictures here, at the largest scale that fits."""
        size = (image.shape[0], image.shape[1])
        first = fitting_shrink(size, budget, need=self.estimate, wanted=self._seen_size(predictor))
        sees = predictor.at_size("own") if self.own_size else predictor
        return run_shrinking(lambda shrink: compute(sees, shrink), size, first, budget)

    def _seen_size(self, predictor: Predictor | None = None) -> SeenSize:
        """The size at which a model sees the picture, see `working_size`; some see any picture at its own size."""
        return "own" if self.own_size else getattr(predictor, "size", None)


@dataclass(frozen=True)
class Predict(ForwardOp):
    """Labels, confidence and maps; see `ForwardOp`."""

    own_size: bool = False

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A Prediction."""

        def predict(sees: Predictor, shrink: int) -> object:
            report(0, 1)
            return sees(image) if shrink == 1 else sees(image, shrink=shrink)

        return self._shrink(predictor, image, budget, predict)


@dataclass(frozen=True)
class MeasureInfluence(ForwardOp):
    """The influence on the answer at a pixel (y, x) through the block's context; see `ForwardOp`.

    Attributes:
        pixel: (y, x) in the picture's own pixels.
        own_size: see `ForwardOp`.

    Raises:
        NoContextError: the model has no context.
        ValueError: the pixel lies outside the picture.
    """

    pixel: tuple[int, int]
    own_size: bool = False

    @staticmethod
    def estimate(size: tuple[int, int], shrink: int, wanted: SeenSize) -> int:
        """Bytes of the forward, and of what it keeps for its backward."""
        return influence_need(size, shrink, wanted)

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """An Influence."""
        from segviz.prediction.influence import measure_pixel_influence

        def measure(sees: Predictor, shrink: int) -> object:
            return measure_pixel_influence(sees, image, self.pixel, shrink, check=lambda: report(0, 1))

        return self._shrink(predictor, image, budget, measure)


@dataclass(frozen=True)
class CompareFeatures(ForwardOp):
    """Which places have features like the point's, at a stage of the model; see `ForwardOp`.

    Attributes:
        stage: a name of STAGES (`segviz.prediction.similarity`).
        own_size: see `ForwardOp`.
    """

    stage: Stage
    own_size: bool = False

    def run(self, predictor: Predictor, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A FeatureSimilarity."""
        from segviz.prediction.similarity import compare_features

        def compare(sees: Predictor, shrink: int) -> object:
            report(0, 1)
            return compare_features(sees, image, self.stage, shrink)

        return self._shrink(predictor, image, budget, compare)


def run_shrinking(compute: Callable[[int], object], size: tuple[int, int], first: int, budget: int) -> OpResult:
    """The value at the first shrink, from `first` on, for which memory suffices.

    Raises:
        TooLargeError: it suffices for none.
    """
    for shrink in SHRINKS[SHRINKS.index(first) :]:
        try:
            return OpResult(compute(shrink), (scale_note(shrink),) if shrink > 1 else (), keep=shrink == first)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release_memory()  # only here is the frame of the failed forward, with its tensors, gone
    raise too_large_error(size, budget)


@dataclass(frozen=True, eq=False)
class Attribute:
    """Which pixels drive a class's logit: `segviz.attribution.attribute` with these arguments.

    It works on a private copy of the model, because Captum registers hooks. The model sees the picture at the size of
    training, which bounds time and memory. Options that the method ignores are set to
    their defaults, so that they do not change the key.

    Attributes:
        method: a name of METHODS.
        target: what is explained.
        options: of the method.
        layer: of a network of one's own, the layer that Grad-CAM reads; bundled and published models have their block.
        in_crop: of a published network whose authors slide crops: it sees the crop around the target's pixel, and the
            score is its answer there. Without, it sees the whole picture.

    Raises:
        AttributionError: the method is unknown.
    """

    method: str
    target: Target
    options: Options
    layer: str = ""
    in_crop: bool = False
    long: ClassVar[bool] = True
    deadline_s: ClassVar[float] = LONG_DEADLINE_S

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
        """An Attribution.

        Raises:
            TooLargeError: the gradients need more memory than is available.
            AttributionError: the target or an option cannot be used.
        """
        from segviz.attribution import attribute

        step = (0, 1)

        def progress(done: int, total: int) -> None:
            nonlocal step
            step = done, total
            report(done, total)

        size = image.shape[0], image.shape[1]
        bounded = self._bound_options(size, budget)
        try:
            how: dict[str, Any] = {"options": bounded, "progress": progress, "check": lambda: report(*step)}
            if self.in_crop and predictor.kind == "published" and self.target.pixel is not None:
                return OpResult(self._explain_crop(predictor, image, self.target.pixel, how))
            how["working"] = working_size(*size)  # that of training, whatever the predictor sees: many forwards follow
            answer = attribute(self._differentiable(predictor, image), image, self.method, self.target, **how)
            return OpResult(self._name_layer(answer))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release_memory()
        raise TooLargeError(
            "this attribution needs more memory than is available; use Occlusion, which keeps no gradients, or try "
            "again when fewer people are using the server"
        )

    def _explain_crop(
        self, predictor: Any, image: np.ndarray, pixel: tuple[int, int], how: dict[str, Any]
    ) -> Attribution:
        """The answer for the crop around a pixel, seen as the network sees crops."""
        from segviz.attention.grid_map import cell_of_pixel
        from segviz.attribution import attribute
        from segviz.watch.published_block import look_into

        region, crop = predictor.cut_crop(image, pixel)
        size = crop.shape[0], crop.shape[1]
        y, x = region.inside(pixel)
        inside = replace(self.target, pixel=cell_of_pixel(y, x, region.size, size))
        block: Any = look_into(predictor, of_crop=True)
        answer = attribute(block, crop, self.method, inside, working=size, **how)
        return replace(answer, target=self.target, region=region)

    def _differentiable(self, predictor: Any, image: np.ndarray) -> Any:
        """The predictor; a network of one's own as the methods want it."""
        if predictor.kind == "checkpoint":
            return predictor
        from segviz.engine.differentiable import make_differentiable
        from segviz.watch.published_block import look_into

        if predictor.kind == "published":
            return look_into(predictor)
        view = predictor(image.view(), layers=self.layer or None)
        return make_differentiable(predictor, view, self.layer)

    def _name_layer(self, answer: Attribution) -> Attribution:
        """The answer, whose title names the layer that was read."""
        from segviz.attribution.methods import method_of

        if not self.layer or not method_of(self.method).at_block:
            return answer
        return replace(answer, title=answer.title.replace("the block's", f"{self.layer}'s"))

    def _bound_options(self, size: tuple[int, int], budget: int) -> Options:
        room = budget - forward_need(size, fitting_shrink(size, budget))
        return replace(self.options, memory_mib=max(1, min(self.options.memory_mib, room // MIB)))
