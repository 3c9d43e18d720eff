"""The ops on networks of one's own: watch their attention, and compare the features of a layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segviz.engine.bounded_memory import BoundedMemory
from segviz.engine.errors import EngineError, TooLargeError
from segviz.engine.memory_budget import SHRINKS, is_out_of_memory, release_memory, scale_note
from segviz.engine.ops import Predict
from segviz.engine.request import OpResult, ReportProgress
from segviz.text import plain_text

if TYPE_CHECKING:
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
    """

    layers: tuple[str, ...] = ()
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = FETCH_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """All of the budget."""
        return budget

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A NetworkView, or a Prediction."""
        if not hasattr(predictor, "rules"):  # a checkpoint of segviz's own
            return Predict().run(predictor, image, budget, report)
        report(0, 1)
        if not hasattr(predictor, "layers"):  # a published network, with its blocks' own maps
            result = run_bounded(lambda shrink: lambda: predictor(image, shrink=shrink), budget)
            return replace(result, notes=(*result.notes, *predictor.notes))
        picture = image.view()  # the view of the network holds it, and is made read-only
        return run_network(predictor, image, budget, lambda one: one(picture, layers=self.layers or None))


@dataclass(frozen=True)
class CompareLayer:
    """Which places have features like the point's, at the output of one of a network's modules.

    Attributes:
        path: the module's path, of an attention layer: its block's output is compared.
        grid: the (rows, columns) of the tokens, as its map has them.
    """

    path: str
    grid: tuple[int, int]
    long: ClassVar[bool] = False
    deadline_s: ClassVar[float] = FETCH_S

    def need(self, size: tuple[int, int], budget: int) -> int:
        """All of the budget."""
        return budget

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """A FeatureSimilarity."""
        from segviz.watch.layer_features import compare_layer

        report(0, 1)
        if not hasattr(predictor, "layers"):
            raise NetworkError("features are compared for networks that are built from code or a library, not for this")
        return run_network(predictor, image, budget, lambda one: compare_layer(one, image, self.path, self.grid))


def run_network(
    predictor: NetworkPredictor, image: np.ndarray, budget: int, compute: Callable[[NetworkPredictor], object]
) -> OpResult:
    """What is computed of a network, at the first scale for which the budget suffices; see `run_bounded`."""
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
            cause = next((one for one in (error, error.__cause__) if one is not None and ran_out(one)), None)
            if cause is None:
                raise as_sentence(error) from None
            failed = TooLargeError(str(cause)) if isinstance(cause, TooLargeError) else failed
        release_memory()  # only here is the frame of the failed forward, with its tensors, gone
    raise failed


def ran_out(error: BaseException) -> bool:
    """Whether memory ran out, or would have."""
    return isinstance(error, TooLargeError) or is_out_of_memory(error)


def as_sentence(error: Exception) -> Exception:
    """An error that the engine passes on: one of its own, or a sentence on what the network's code raised."""
    if isinstance(error, ValueError | EngineError):
        return error
    cause = plain_text(str(error), 300) or "without a message"
    return NetworkError(f"the network failed ({type(error).__name__}: {cause}); correct its code, or its size")


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
