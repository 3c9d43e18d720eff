"""Attention to a few sampled places of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import Grid, MapLook, MapOverPlaces


@dataclass(frozen=True, repr=False)
class SampledAttention(MapOverPlaces):
    """K sampled places per cell and their weights (SSANet, eq. 4-6).

    `positions` are (y, x) in grid cells and may lie outside the grid, unless the block moved them onto its edge
    (`padding="border"`); `window` holds the K undisplaced offsets (dy, dx). `positions - cell - window` are the
    learned offsets, except of samples that were moved onto the edge: there it is what was left of the offset.
    """

    looks = ("attends_to", "attended_by", "points")
    may_be_empty = True  # nobody may sample a cell, and a cell's own samples may all lie outside

    positions: Float[Tensor, "cells points 2"]
    weights: Float[Tensor, "cells points"]
    window: Float[Tensor, "points 2"]

    @property
    def main_look(self) -> MapLook:
        """The points that the cell samples."""
        return "points"

    @property
    def remark(self) -> str:
        """How many samples a cell has."""
        return f"{self.weights.shape[1]} samples"

    def samples(self, row: int, column: int) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """The K positions (y, x) of one cell, in grid cells, and their weights, which sum to 1."""
        cell = self.index(row, column)
        return self.positions[cell], self.weights[cell]

    def window_around(self, row: int, column: int) -> Float[Tensor, "points 2"]:
        """Where the K points would lie without learned offsets, in grid cells."""
        self.index(row, column)
        return self.window + torch.tensor([row, column], dtype=self.window.dtype)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The weights splatted bilinearly; they sum to 1 less what falls outside the picture."""
        cells, shares = bilinear_corners(*self.samples(row, column), self.grid)
        flat = torch.zeros(self.grid[0] * self.grid[1], dtype=shares.dtype)
        return flat.index_add_(0, cells.flatten(), shares.flatten()).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much the samples of every cell lie on this one."""
        self.index(row, column)
        near = (1 - (self.positions - torch.tensor([row, column])).abs()).clamp_min(0).prod(2)
        return (self.weights * near).sum(1).reshape(self.grid)

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows: the samples of each cell, splatted."""
        return self._splat(cells, self.weights[cells])

    @property
    def reaches_all(self) -> bool:
        """A cell reaches its samples."""
        return False

    def even_rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """The same weight on each of a cell's samples, splatted."""
        weights = self.weights[cells]
        return self._splat(cells, torch.full_like(weights, 1 / weights.shape[1]))

    @property
    def choices(self) -> Float[Tensor, "cells points"]:
        """The samples' weights."""
        return self.weights

    def _splat(self, cells: Tensor, weights: Float[Tensor, "rows points"]) -> Float[Tensor, "rows cells"]:
        """Weights on the samples of some cells as weights on the grid."""
        index, shares = (
            part.permute(1, 0, 2).flatten(1) for part in bilinear_corners(self.positions[cells], weights, self.grid)
        )
        laid = torch.zeros(len(cells), self.grid[0] * self.grid[1], dtype=shares.dtype)
        return laid.scatter_add_(1, index, shares)


def bilinear_corners(
    positions: Float[Tensor, "*samples 2"], weights: Float[Tensor, "*samples"], grid: Grid
) -> tuple[Int64[Tensor, "*corners"], Float[Tensor, "*corners"]]:
    """The four cells around each position (y, x) in grid cells, as (4, *samples), and the weight on each; 0 outside."""
    height, width = grid
    low = positions.floor()
    cells, shares = [], []
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at = low + torch.tensor(corner)
        y, x = at.unbind(-1)
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        cells.append((y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long())
        shares.append(weights * (1 - (positions - at).abs()).prod(-1) * inside)
    return torch.stack(cells), torch.stack(shares)
