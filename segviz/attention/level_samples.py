"""Samples on several levels of features: what they draw from each cell, and what they draw of one.

A sample reads the four cells around it on the grid of its level. To add the levels up, the weight on a cell of a coarse
level is divided evenly among the cells of the finest level whose centres it holds, so that no weight is lost.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.samples import bilinear_corners

Levels = tuple[Grid, ...]  # rows and columns of each level


def finest_level(levels: Levels) -> Grid:
    """The grid with the most cells."""
    return max(levels, key=lambda grid: grid[0] * grid[1])


def holding_lines(coarse: int, fine: int) -> Int64[Tensor, " fine"]:
    """The row, or column, of a coarser level that holds the centre of each of a finer one."""
    return (2 * torch.arange(fine) + 1) * coarse // (2 * fine)


def level_positions(positions: Float[Tensor, "*samples 2"], grid: Grid) -> Float[Tensor, "*samples 2"]:
    """Positions (y, x), shares of the picture's height and width, in cells of a level."""
    return positions * torch.tensor(grid, dtype=positions.dtype) - 0.5


def spread_on_level(
    positions: Float[Tensor, "heads points 2"], weights: Float[Tensor, "heads points"], grid: Grid
) -> Float[Tensor, "heads rows columns"]:
    """The weights of one level's samples on its cells; what falls outside is lost."""
    cells, shares = (
        part.transpose(0, 1).flatten(1) for part in bilinear_corners(level_positions(positions, grid), weights, grid)
    )
    laid = torch.zeros(len(weights), grid[0] * grid[1], dtype=shares.dtype)
    return laid.scatter_add_(1, cells, shares).reshape(-1, *grid)


def refine(values: Float[Tensor, "heads rows columns"], grid: Grid) -> Float[Tensor, "heads fine_rows fine_columns"]:
    """Weights of a coarser level, divided among the cells of a finer one."""
    down, along = (holding_lines(*sides) for sides in zip(values.shape[1:], grid, strict=True))
    shared = down.bincount(minlength=values.shape[1])[:, None] * along.bincount(minlength=values.shape[2])
    return (values / shared.clamp_min(1))[:, down[:, None], along]


def drawn_from_cells(
    positions: Float[Tensor, "heads levels points 2"], weights: Float[Tensor, "heads levels points"], levels: Levels
) -> Float[Tensor, "heads cells"]:
    """What one query's samples draw from each cell of the finest level, all levels added up."""
    grid = finest_level(levels)
    parts = [
        refine(spread_on_level(positions[:, level], weights[:, level], own), grid) for level, own in enumerate(levels)
    ]
    return torch.stack(parts).sum(0).flatten(1)


def drawn_of_cell(
    positions: Float[Tensor, "heads queries levels points 2"],
    weights: Float[Tensor, "heads queries levels points"],
    levels: Levels,
    cell: Grid,
) -> Float[Tensor, "heads queries"]:
    """How much every query's samples draw from one cell (row, column) of the finest level."""
    grid, total = finest_level(levels), torch.zeros(weights.shape[:2])
    for level, own in enumerate(levels):
        lines = [holding_lines(*sides) for sides in zip(own, grid, strict=True)]
        holder = [int(line[at]) for line, at in zip(lines, cell, strict=True)]
        shared = [int((line == at).sum()) for line, at in zip(lines, holder, strict=True)]
        distance = (level_positions(positions[:, :, level], own) - torch.tensor(holder)).abs()
        near = (1 - distance).clamp_min(0).prod(-1)
        total += (weights[:, :, level] * near).sum(2) / (shared[0] * shared[1])
    return total
