"""The ops on networks of one's own: watch their attention, and compare the features of a layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segviz.engine.bounded_memory import BoundedMemory
from segviz.engine.errors import EngineError, TooLargeError
from segviz.engine.memory_budget import SHRINKS, release_memory, scale_note
from segviz.engine.ops import Predict
from segviz.engine.request import OpResult, ReportProgress
from segviz.runtime.blamed_line import name_line
from segviz.runtime.out_of_memory import is_out_of_memory
from segviz.runtime.size_option import IN_APP, name_size_option
from segviz.text import plain_text

if TYPE_CHECKING:
    from segviz.prediction.block_predictor import BlockPredictor
    from segviz.prediction.similarity import Stage
    from segviz.watch.network_predictor import NetworkPredictor

Compute = Callable[[], object]


FETCH_S = 600.0  # until an answer must have come: the network's library and weights may have to be fetched first


class NetworkError(ValueError):
    """A network of one's own failed; the message names the cause."""


@dataclass(frozen=True)
class Watch:
    """Attention and classes of any network. Of the bundled models' kind it is a `Predict`.

    Nothing is known of a network's memory, so it runs alone and may use all of the budget.

    Attributes:
        layers: the paths of the layers whose maps are kept; empty for the last one. All are listed.
        own_size: of a segviz checkpoint, as of `Predict`; any other network sees pictures at their own size anyway.
        place: (y, x): of a published network that sees crops, the maps of the crop around this pixel are kept; None
            for the picture's middle.
        whole: whether a published network sees the picture whole, also where its authors slide crops.
        verify_places: whether a second run checks that the cells of maps that were found lie at their places.
    """

    layers: tuple[str, ...] = ()
    own_size: bool = False
    place: tuple[int, int] | None = None
    whole: bool = False
    verify_places: bool = False
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = FETCH_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """All of the budget."""
        return budget

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A NetworkView, or a Prediction."""
        if predictor.kind == "checkpoint":
            return Predict(self.own_size).run(predictor, image, budget, report)
        report(0, 1)
        if predictor.kind == "published":  # with its blocks' own maps
            protocol = "whole" if self.whole else None
            call = partial(predictor, image, protocol=protocol, place=self.place)
            result = run_bounded(lambda shrink: partial(call, shrink=shrink), budget)
            return replace(result, about=tuple(predictor.notes))
        picture = image.view()  # the view of the network holds it, and is made read-only
        return run_network(
            predictor,
            image,
            budget,
            lambda one: one(picture, layers=self.layers or None, verify_places=self.verify_places),
        )


@dataclass(frozen=True)
class CompareLayer:
    """Which places have features like the point's, at the output of one of a network's modules.

    Attributes:
        path: the module's path, of an attention layer: its block's output is compared.
        grid: the (rows, columns) of the tokens, as its map has them.
        tokens: which of its layer's tokens the cells are, as `HeadMap.cell_tokens`.
    """

    path: str
    grid: tuple[int, int]
    tokens: Sequence[int] | None = None
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = FETCH_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """All of the budget."""
        return budget

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A FeatureSimilarity.

        Raises:
            NetworkError: the network has stages, not layers with a path.
            TooLargeError: the budget suffices at no scale.
        """
        from segviz.watch.layer_features import compare_layer

        report(0, 1)
        if predictor.kind != "network":
            raise NetworkError("its layers have no paths; compare the features of one of its stages")
        return run_network(
            predictor, image, budget, lambda one: compare_layer(one, image, self.path, self.grid, self.tokens)
        )


@dataclass(frozen=True)
class CompareStage:
    """As `CompareFeatures`, of a published network, or of a segviz checkpoint that is one's own.

    A published network sees the whole picture, or a crop where its authors slide crops.

    Attributes:
        stage: a name of STAGES (`segviz.prediction.similarity`).
        place: (y, x): the network sees the crop around this pixel of the picture; None for the whole picture.
    """

    stage: Stage
    place: tuple[int, int] | None = None
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = FETCH_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """All of the budget."""
        return budget

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A FeatureSimilarity, over the picture or over the crop.

        Raises:
            NetworkError: the network has layers with a path, not stages.
            TooLargeError: the budget suffices at no scale.
        """
        from segviz.prediction.similarity import compare_features
        from segviz.watch.published_block import look_into

        report(0, 1)
        if predictor.kind == "network":
            raise NetworkError("it has no stages; compare the features of one of its layers")
        if predictor.kind == "published" and self.place is not None:
            crop = look_into(predictor, of_crop=True)
            place = self.place
            return run_bounded(
                lambda shrink: lambda: compare_features(crop, predictor.cut_crop(image, place, shrink)[1], self.stage),
                budget,
            )
        block: BlockPredictor = predictor if predictor.kind == "checkpoint" else look_into(predictor)
        return run_bounded(lambda shrink: partial(compare_features, block, image, self.stage, shrink), budget)


def run_network(
    predictor: NetworkPredictor, image: np.ndarray, budget: int, compute: Callable[[NetworkPredictor], object]
) -> OpResult:
    """What is computed of a network, at the first scale for which the budget suffices; see `run_bounded`.

    Raises:
        TooLargeError: as in `run_bounded`.
        ValueError: as in `run_bounded`.
    """
    size = (image.shape[0], image.shape[1])

    def compute_at(shrink: int) -> Compute | None:
        smaller = shrink_input(predictor, size, shrink)
        return None if smaller is None else partial(compute, smaller)

    return run_bounded(compute_at, budget)


def run_bounded(compute_at: Callable[[int], Compute | None], budget: int) -> OpResult:
    """The value at the first scale for which the budget suffices.

    Args:
        compute_at: what computes it at a part of the scale; None where there is no such part.
        budget: bytes.

    Raises:
        TooLargeError: it suffices for none.
        ValueError: the network refuses the picture, or fails.
    """
    failed = TooLargeError("the network needs more memory than is available; show it a smaller picture")
    for shrink in SHRINKS:
        compute = compute_at(shrink)
        if compute is None:
            break
        try:
            with BoundedMemory(budget):
                return OpResult(compute(), (scale_note(shrink),) if shrink > 1 else (), keep=shrink == 1)
        except Exception as error:
            if not is_out_of_memory(error):
                raise as_sentence(error) from None
            failed = TooLargeError(str(error)) if isinstance(error, TooLargeError) else failed
        release_memory()  # only here is the frame of the failed forward, with its tensors, gone
    raise failed


def as_sentence(error: Exception) -> Exception:
    """An error that the engine passes on: one of its own, or a sentence on what the network's code raised."""
    from segviz.watch.run_network import InputRefusedError

    if isinstance(error, InputRefusedError):
        return InputRefusedError(name_size_option(str(error), IN_APP))
    if isinstance(error, ValueError | EngineError):
        return error
    cause = plain_text(str(error), 300) or "without a message"
    where = name_line(f"{type(error).__name__}: {cause}", error)
    return NetworkError(f"the network failed ({where}); correct its code, or its size")


def shrink_input(predictor: NetworkPredictor, size: tuple[int, int], shrink: int) -> NetworkPredictor | None:
    """The predictor, shown pictures at a part of the scale; None where the network sees one size alone."""
    from segviz.watch.placement import own_size, patch_multiple, place_picture

    if shrink == 1:
        return predictor
    rules = predictor.rules
    if rules.size is not None or own_size(predictor.network) is not None:
        return None
    multiple = rules.multiple or patch_multiple(predictor.network)
    seen = place_picture(size, None, multiple, rules.fit).seen
    sides = [max(multiple, side // shrink // multiple * multiple) for side in seen]
    smaller = copy.copy(predictor)
    smaller.rules = replace(rules, size=(sides[0], sides[1]))
    return smaller
