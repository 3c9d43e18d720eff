"""One call of deformable attention: its points and weights, and the check that they give what the call returned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover
from segviz.attention.level_samples import Levels, finest_level, spread_on_level
from segviz.attention.maps import NetworkMap
from segviz.watch.build_map import copy_factor
from segviz.watch.call import ROWS_TO_CHECK, TOLERANCE, relative_difference, spread_indices
from segviz.watch.grids import NotShownError

SPELLING = "deformable attention"
SAME_PLACE = 1e-3  # of the picture: how far a reference point may be from its cell's centre


@dataclass(frozen=True)
class SampledCall:
    """Points that queries sample from levels of features, as a network computed them.

    Attributes:
        values: what is sampled, after the value projection; the levels one after the other.
        positions: (x, y) in [0, 1] of the picture that the network sees.
        weights: of the points; they sum to 1 over levels and points.
        output: what the call returned before its last projection.
        levels: rows and columns of each level.
        references: the queries' own places (x, y), perhaps with a box's size, on each level.
    """

    values: Float[Tensor, "1 cells heads dim"]
    positions: Float[Tensor, "1 queries heads levels points 2"]
    weights: Float[Tensor, "1 queries heads levels points"]
    output: Float[Tensor, "1 queries heads_dim"]
    levels: Levels
    references: Float[Tensor, "batch queries some place"] | None = None

    @property
    def query_count(self) -> int:
        """The number of queries."""
        return self.weights.shape[1]

    def difference(self) -> float:
        """How far values weighted as the map says are from the output, relative to its largest number."""
        rows = spread_indices(self.query_count, ROWS_TO_CHECK, self.weights.device).cpu()
        values = copy_factor(self.values)[0].transpose(0, 1).split([math.prod(grid) for grid in self.levels], 1)
        positions, weights = (copy_factor(one[0, rows]) for one in (self.positions.flip(-1), self.weights))
        found = []
        for own, place in zip(weights, positions, strict=True):
            parts = (
                spread_on_level(place[:, level], own[:, level], grid).flatten(1)[:, None] @ values[level]
                for level, grid in enumerate(self.levels)
            )
            found.append(sum(parts, torch.zeros(())).flatten())
        return relative_difference(torch.stack(found), copy_factor(self.output[0, rows]))

    @property
    def tolerance(self) -> float:
        """As `AttentionCall.tolerance`."""
        return max(TOLERANCE, 4 * torch.finfo(self.output.dtype).eps)

    @property
    def are_places(self) -> bool:
        """Whether the queries are the cells of all levels, as in an encoder: each refers to its own centre."""
        if self.query_count != sum(map(math.prod, self.levels)) or self.references is None:
            return False
        centres = torch.cat([centre_shares(grid) for grid in self.levels])
        distances = copy_factor(self.references)[0, :, :, :2] - centres[:, None]
        return float(distances.abs().max()) < SAME_PLACE

    def maps(self, path: str, covers: Cover) -> list[NetworkMap]:
        """The map of object queries; or of places, one for each level of the queries, the finest under the path itself.

        Raises:
            NotShownError: there is more than one picture.
        """
        if len(self.weights) != 1:
            raise NotShownError(f"it has {len(self.weights)} pictures; watch one")
        positions = copy_factor(self.positions[0].flip(-1)).transpose(0, 1).contiguous()
        weights = copy_factor(self.weights[0]).transpose(0, 1).contiguous()
        finest = finest_level(self.levels)
        if not self.are_places:
            return [DeformableQueries(path, finest, positions, weights, self.levels, covers=covers)]
        counts = [math.prod(grid) for grid in self.levels]
        starts = accumulate(counts, initial=0)
        found: list[NetworkMap] = [
            DeformableAttention(
                path if grid == finest else f"{path}:{grid[0]}x{grid[1]}",
                grid, finest, place.contiguous(), own.contiguous(), self.levels, covers=covers,
                cell_tokens=range(start, start + math.prod(grid)),
            )
            for grid, start, place, own in zip(
                self.levels, starts, positions.split(counts, 1), weights.split(counts, 1), strict=False
            )
        ]  # fmt: skip
        return sorted(found, key=lambda one: math.prod(one.grid))  # the finest last, as the last is kept


def centre_shares(grid: Grid) -> Float[Tensor, "cells 2"]:
    """The centres (x, y) of a grid's cells, shares of its width and height."""
    rows, columns = ((torch.arange(side) + 0.5) / side for side in grid)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], 2).flatten(0, 1)
