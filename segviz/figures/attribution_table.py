"""What the Attribution page says: each method in a sentence with its equation, and the numbers of an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from segviz.attention.maps import SpatialMap
from segviz.attribution import Attribution, agreement
from segviz.table import finite_or_none
from segviz.text import NONE

HELP: Mapping[str, str] = MappingProxyType({
    "integrated_gradients": (
        r"$\sum_c (x_c - x'_c) \int_0^1 \partial z(x' + \alpha (x - x')) / \partial x_c \, d\alpha$ (eq. 1): gradients "
        "collected on the way from a baseline $x'$ to the picture. The pixels add up to the score less the baseline's "
        "(completeness); the convergence delta is by how much they miss it. More steps, or the blurred baseline, bring "
        "it down."
    ),
    "saliency": (
        r"$\max_c |\partial z / \partial x_c|$ (section 3): where the smallest change of a pixel changes the score "
        "most. At a point it outlines what the network can see from there."
    ),
    "grad_cam_input": (
        r"$\sum_k \alpha_k A_k$ with $\alpha_k = \mathrm{mean}_{ij}\, \partial z / \partial A_k^{ij}$ (eq. 1-2), $A$ "
        "the features that the block reads: which places carry the channels that speak for the class."
    ),
    "grad_cam_output": (
        "The same with $A$ the features that the block returns: set against its input, what the attention changed. "
        "Weights are means over all places, so one point gives nearly the map of its class."
    ),
    "occlusion": (
        r"$z(x) - z(x \text{ with a square covered})$ (section 4.2), the mean over all squares on a pixel: what the "
        "score loses when a part of the picture is hidden. It needs no gradient, and many forwards."
    ),
})  # fmt: skip
WORTH_A_WARNING = 0.1  # of the score's difference: a larger completeness error leaves the map in doubt


def rank_note(ranks: Mapping[str, float]) -> str:
    """Rank correlations in a line."""
    written = {name: NONE if math.isnan(rho) else f"{rho:+.2f}".replace("-", "−") for name, rho in ranks.items()}
    return "; ".join(f"ρ {rho} with {name}" for name, rho in written.items())


def explained_score(answer: Attribution) -> float | None:
    """The score less the baseline's score, for a method that tells its completeness error."""
    return None if answer.delta is None else float(answer.values.sum(dtype="float64")) - answer.delta


def completeness_warning(answer: Attribution) -> str:
    """A sentence about a completeness error that leaves the map in doubt; empty if it does not."""
    difference = explained_score(answer)
    if answer.delta is None or difference is None or abs(answer.delta) <= WORTH_A_WARNING * abs(difference):
        return ""
    cure = "Take more steps" if answer.baseline == "blurred" else "Take more steps, or the blurred baseline,"
    return (
        f"{answer.title} misses completeness by {answer.delta:+.2f}, where the score and the baseline's differ by "
        f"{difference:+.2f}: the network bends on the way more often than there are steps. "
        f"{cure} before reading single pixels."
    ).replace("-", "−")


def rank_correlations(
    answer: Attribution, maps: Sequence[SpatialMap], place: tuple[int, int], size: tuple[int, int]
) -> dict[str, float]:
    """Spearman's rho of an attribution with what a place attends to, by the map's name.

    Args:
        answer: of the same picture.
        maps: the block's, with cells in the picture.
        place: (y, x) in the picture's pixels.
        size: the picture's (height, width).
    """
    return {one.name: agreement(answer, one, *one.cell(*place, *size)) for one in maps}


def attribution_columns(answers: Sequence[Attribution], ranks: Sequence[Mapping[str, float]]) -> dict[str, list[Any]]:
    """A row for each answer: its rank correlations with the block's maps, its values' range and sum, its error."""
    found: dict[str, list[Any]] = {"Method": [one.title for one in answers]}
    for name in ranks[0] if ranks else ():
        found[f"ρ with {name}"] = [finite_or_none(one[name]) for one in ranks]
    found["Smallest"] = [float(one.values.min()) for one in answers]
    found["Largest"] = [float(one.values.max()) for one in answers]
    found["Explained"] = [explained_score(one) for one in answers]
    found["Delta"] = [one.delta for one in answers]
    found["Baseline"] = [one.baseline or None for one in answers]
    return found
