"""Numbers of many rows of attention weights at once; `statistics` has those of one place.

Each function takes rows that `normalise_rows` made and returns a number for each. NaN rows give NaN.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from segviz.attention.cells import CellClasses, cell_centres
from segviz.attention.grid_map import Grid
from segviz.attention.maps import SpatialMap
from segviz.data.classes import VOID

RowShares = Float[Tensor, "queries cells"]
Numbers = Float[Tensor, " queries"]
Queries = Int64[Tensor, " queries"]
NEIGHBOURS = tuple((down, along) for down in (-1, 0, 1) for along in (-1, 0, 1))


def normalise_rows(weights: Float[Tensor, "*queries cells"]) -> Float[Tensor, "*queries cells"]:
    """Each row divided by its sum; NaN where the whole row is 0.

    Raises:
        ValueError: a weight is negative or not a number.
    """
    if not bool(weights.min() >= 0):  # a minimum of NaN is NaN
        raise ValueError("a weight is negative or not a number; these numbers need a map with a softmax")
    return weights / weights.sum(-1, keepdim=True)


def row_entropies(shares: Float[Tensor, "*queries cells"]) -> Float[Tensor, "*queries"]:
    """`-sum_j w_j log2 w_j` of each row (Shannon 1948), in bits."""
    logarithms = shares.clamp_min(torch.finfo(shares.dtype).tiny).log_()  # three times as fast as torch.special.entr
    return -logarithms.mul_(shares).sum(-1).clamp_max_(0) / math.log(2)


def row_distances(shares: RowShares, cells: Queries, map_: SpatialMap, size: Grid) -> Numbers:
    """`sum_j w_j |c_j - c_p|` of the rows of some cells, in pixels of a picture of (height, width) `size`."""
    down, along = (torch.from_numpy(axis).to(shares.dtype) for axis in cell_centres(map_, size))
    rows, columns = cells // map_.grid[1], cells % map_.grid[1]
    from_rows, from_columns = (down - down[rows, None]).square(), (along - along[columns, None]).square()
    distances = (from_rows[:, :, None] + from_columns[:, None, :]).sqrt_().flatten(1)
    means: Tensor = torch.linalg.vecdot(shares, distances)
    return means


def row_near_weights(shares: RowShares, cells: Queries, grid: Grid) -> Numbers:
    """The weight on the own cell and its eight neighbours, in [0, 1]; at the edge there are fewer."""
    height, width = grid
    steps = torch.tensor(NEIGHBOURS)
    rows, columns = (cells // width)[:, None] + steps[:, 0], (cells % width)[:, None] + steps[:, 1]
    inside: Bool[Tensor, "queries nine"] = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    near = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    return (shares.gather(1, near) * inside).sum(1)


def row_class_shares(shares: Float[Tensor, "#queries cells"], cells: Queries, classes: CellClasses) -> Numbers:
    """The share of each row's weight on cells of its own cell's class; void cells are left out.

    One row may serve all cells. NaN where the own cell is void, or where all the weight lies on void cells.
    """
    flat = classes.ravel()
    names, numbers = np.unique(flat[flat != VOID], return_inverse=True)
    members = torch.zeros(flat.size, len(names), dtype=shares.dtype)
    members[torch.from_numpy(np.flatnonzero(flat != VOID)), torch.from_numpy(numbers)] = 1
    by_class, own = shares @ members, members[cells]
    share = (by_class * own).sum(1) / by_class.sum(1)
    return share.clamp_max(1).masked_fill(own.sum(1) == 0, math.nan)


def row_variations(shares: RowShares, others: RowShares) -> Numbers:
    """The total variation distance `1/2 sum_j |w_pj - w_qj|` of each row from another, in [0, 1]."""
    return (shares - others).abs_().sum(1).div_(2).clamp_max(1)
