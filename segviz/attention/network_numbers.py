"""The numbers of `statistics.py` that a network's map alone has at one place: its entropy and its distance."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from segviz.attention.deformable import DeformableAttention
from segviz.attention.direction import Direction
from segviz.attention.grid_map import Grid
from segviz.attention.head_map import HeadChoice, HeadMap, covered_size
from segviz.attention.maps import PlacedMap
from segviz.attention.network_look import network_weights, sampled_weights
from segviz.attention.statistics import MapStatistics, entropy_bits, normalise, normalised_entropy
from segviz.attention.windowed import WindowedAttention


def network_statistics(
    one: HeadMap, place: Grid, size: Grid, direction: Direction = "attends_to", head: HeadChoice = "mean"
) -> MapStatistics:
    """A pixel's numbers, from its weights on cells of the picture; NaN for those that need classes or other places.

    A point chooses between all key cells, those of its window, or its sampled points; who looks at it is a choice of
    cells. The even distance of sampled points is NaN: points that are weighed alike lie on no cells of their own.

    Args:
        one: the map.
        place: the pixel (y, x).
        size: the picture's (height, width).
        direction: where the place looks, or who looks at it.
        head: a head's number, "mean" or "largest".

    Raises:
        IndexError: there is no such head.
        ValueError: the pixel lies outside the picture; its weights are of both signs, or all 0.
    """
    looks = direction == "attends_to"
    weights = network_weights(cast(PlacedMap, one), direction, place, size, head)
    cell, own, other = (
        (one.cell(*place, *size), one.grid, one.key_grid)
        if looks
        else (one.key_cell(*place, *size), one.key_grid, one.grid)
    )
    covered = covered_size(size, one.covers)
    at, centres = centres_of_cells(own, covered), centres_of_cells(other, covered)
    apart = torch.hypot((centres[0] - at[0][cell[0]])[:, None], centres[1] - at[1][cell[1]])
    reached = reached_cells(one, cell) if looks else torch.ones(other, dtype=torch.bool)
    choices, even = weights[reached], mean_distance(reached.double(), apart)
    if looks and isinstance(one, DeformableAttention):
        choices, even = sampled_weights(one, place, size, head)[1], math.nan
    pixels, diagonal = mean_distance(weights, apart), math.hypot(*size)
    distances = pixels, pixels / diagonal, even / diagonal
    return MapStatistics(entropy_bits(choices), normalised_entropy(choices), *distances, math.nan, math.nan, math.nan)


def reached_cells(one: HeadMap, cell: Grid) -> Bool[Tensor, "key_rows key_columns"]:
    """The key cells that a query cell can weigh: those of its window, or all; none where it is in no window."""
    if not isinstance(one, WindowedAttention):
        return torch.ones(one.key_grid, dtype=torch.bool)
    reached, token = torch.zeros(one.key_grid, dtype=torch.bool), int(one.token_of_cell[one.index(*cell)])
    if token >= 0:
        places = one.key_places[token // one.query_places.shape[1]]
        reached.view(-1)[places[places >= 0].long()] = True
    return reached


def centres_of_cells(grid: Grid, covered: Grid) -> tuple[Float[Tensor, " rows"], Float[Tensor, " columns"]]:
    """Where the cells' centres lie, in pixels, down and along what a grid covers."""
    down, along = ((np.arange(cells) + 0.5) * pixels / cells for cells, pixels in zip(grid, covered, strict=True))
    return torch.from_numpy(down), torch.from_numpy(along)


def mean_distance(weights: Float[Tensor, "rows columns"], apart: Float[Tensor, "rows columns"]) -> float:
    """The mean of distances by weight.

    Raises:
        ValueError: see `normalise`.
    """
    return float((normalise(weights) * apart).sum())
