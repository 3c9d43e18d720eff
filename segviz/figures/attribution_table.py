"""Texts and numbers of the attribution page: each method with its equation, and the table of its results."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from segviz.attention.maps import PlacedMap, SpatialMap
from segviz.attribution import METHODS, Attribution, agreement
from segviz.table import finite_or_none

HELP: Mapping[str, str] = MappingProxyType({
    "integrated_gradients": (
        r"$\sum_c (x_c - x'_c) \int_0^1 \partial z(x' + \alpha (x - x')) / \partial x_c \, d\alpha$ (eq. 1) averages "
        "the gradients along the path from a baseline $x'$ to the picture. The pixels sum to the score minus the "
        "baseline's score (completeness); the convergence delta is the error of this sum. More steps, or the blurred "
        "baseline, reduce it."
    ),
    "saliency": (
        r"$\max_c |\partial z / \partial x_c|$ (section 3) shows where a small change of a pixel changes the score "
        "most. At a point it outlines what the network can see from there."
    ),
    "grad_cam_input": (
        r"$\sum_k \alpha_k A_k$ with $\alpha_k = \mathrm{mean}_{ij}\, \partial z / \partial A_k^{ij}$ (eq. 1-2), where "
        "$A$ is what the block reads, shows where the channels that support the class are active."
    ),
    "grad_cam_output": (
        "This is the same sum over what the block returns. The difference from the map at the input is what the "
        "attention changed. The weights are means over all places, so a point's map is nearly the map of its class."
    ),
    "occlusion": (
        r"$z(x) - z(x \text{ with a square covered})$ (section 4.2), averaged over all squares that cover a pixel, "
        "says how much the score drops when a part of the picture is hidden. It needs many forward passes, but no "
        "gradient."
    ),
})  # fmt: skip
WORTH_A_WARNING = 0.1  # share of the score difference above which a completeness error is reported


@dataclass(frozen=True)
class AttributionNumbers:
    """What stands below the maps of one question.

    Attributes:
        source: the model and the picture.
        score: the score that is explained, in Markdown.
        warnings: sentences on answers that cannot be read as they are.
        columns: the table, by head.
    """

    source: Hashable
    score: str
    warnings: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]


def explained_score(answer: Attribution) -> float | None:
    """The score minus the baseline's score; None if the method has no completeness error."""
    return None if answer.delta is None else float(answer.values.sum(dtype="float64")) - answer.delta


def completeness_warning(answer: Attribution) -> str:
    """A warning about a large completeness error; empty if the error is small."""
    difference = explained_score(answer)
    if answer.delta is None or difference is None or abs(answer.delta) <= WORTH_A_WARNING * abs(difference):
        return ""
    cure = "more steps" if answer.baseline == "blurred" else "more steps or the blurred baseline"
    return (
        f"{answer.title} misses completeness by {answer.delta:+.2f}; the scores of picture and baseline differ by "
        f"{difference:+.2f}: the steps are too coarse for this network. Use {cure} before you read single pixels."
    ).replace("-", "−")


def rank_correlations(
    answer: Attribution, maps: Sequence[SpatialMap | PlacedMap], place: tuple[int, int], size: tuple[int, int]
) -> dict[str, float]:
    """Spearman's rho between an attribution and what a place attends to, by the map's name.

    Args:
        answer: the attribution, of the same picture.
        maps: those of the block, or of the network, over places.
        place: the pixel (y, x).
        size: (height, width) of the picture.
    """
    return {one.name: agreement(answer, one, *one.cell(*place, *size)) for one in maps}


MEASURED_HEADS: Mapping[str, Callable[[Attribution], float | str | None]] = MappingProxyType({
    "Smallest": lambda one: float(one.values.min()),
    "Largest": lambda one: float(one.values.max()),
    "Explained": explained_score,
    "Delta": lambda one: one.delta,
    "Baseline": lambda one: one.baseline or None,
})  # fmt: skip


def attribution_columns(
    methods: Sequence[str], answers: Mapping[str, Attribution], ranks: Mapping[str, Mapping[str, float]]
) -> dict[str, list[Any]]:
    """The table's values by column: correlations, range, explained score, error, baseline.

    Args:
        methods: the rows; one without an answer has no values yet.
        answers: the attributions, by method.
        ranks: their rank correlations, by method and map.
    """
    rows = [answers.get(name) for name in methods]
    titles = [METHODS[name].title if row is None else row.title for name, row in zip(methods, rows, strict=True)]
    columns: dict[str, list[Any]] = {"Method": titles}
    for map_name in next(iter(ranks.values()), ()):
        columns[f"ρ with {map_name}"] = [
            finite_or_none(ranks[one][map_name]) if one in ranks else None for one in methods
        ]
    for head, measure in MEASURED_HEADS.items():
        columns[head] = [None if row is None else measure(row) for row in rows]
    return columns
