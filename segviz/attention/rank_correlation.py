"""Do other values rank places as a map does? Spearman's rank correlation."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from segviz.attention.cells import cell_means, key_cell_means
from segviz.attention.maps import PlacedMap, SpatialMap


def correlate_with_map(
    values: Float[np.ndarray, "rows columns"], map_: SpatialMap | PlacedMap, row: int, column: int
) -> float:
    """Rank correlation of values over the picture, averaged over the map's cells, with what one cell attends to.

    Of a map with heads, the mean of the heads counts, over the keys' cells that have pixels.

    Raises:
        IndexError: the cell lies outside the grid.
        ValueError: the values are fewer than the cells, along a side, of a map without heads.
    """
    weights = map_.attends_to(row, column).numpy()
    if not isinstance(map_, PlacedMap):
        return rank_correlation(cell_means(map_, values), weights)
    means = key_cell_means(map_, values)
    seen = ~np.isnan(means)
    return rank_correlation(means[seen], weights[seen])


def rank_correlation(a: Float[np.ndarray, "*_shape"], b: Float[np.ndarray, "*_shape"]) -> float:
    """Spearman's rho: Pearson's correlation of the ranks, equal values sharing their mean rank; in [-1, 1].

    NaN where one of the two is constant or holds NaN: then there is no order to compare.

    Raises:
        ValueError: the shapes differ, or the arrays are empty.
    """
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"values of {a.shape} and {b.shape} cannot be ranked together; bring both to the map's grid")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    first, second = (ranks - ranks.mean() for ranks in (mean_ranks(a), mean_ranks(b)))
    scale = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float(np.clip((first * second).sum() / scale, -1, 1)) if scale > 0 else math.nan


def mean_ranks(values: Float[np.ndarray, "*_shape"]) -> Float[np.ndarray, " count"]:
    """Ranks from 0 of the flattened values; equal ones share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    ranks: np.ndarray = (last - (counts - 1) / 2)[inverse.ravel()]
    return ranks


def correlations_in_words(by_map: Mapping[str, float]) -> str:
    """Rank correlations with maps, as "rank correlation ρ with rows: −0.03, with columns: +0.20"; "" without."""
    words = {name: "unknown" if math.isnan(rho) else f"{rho:+z.2f}".replace("-", "−") for name, rho in by_map.items()}
    each = ", ".join(f"with {name}: {rho}" for name, rho in words.items())
    return each and f"rank correlation ρ {each}"
