"""Bilinear samples of keys and values for the sparse non-local block, in two ways with the same numbers."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Padding = Literal["zeros", "border", "mask"]
Sampling = Literal["products", "gather"]
ENTRIES_AT_ONCE = 2**24  # of what exists for the queries of a step, which bounds the memory of a large picture
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def gather_through_products(
    query: Float[Tensor, "batch cells reduced"],
    key: Float[Tensor, "batch cells reduced"],
    value: Float[Tensor, "batch cells channels"],
    positions: Float[Tensor, "batch cells points 2"],
    grid: tuple[int, int],
    padding: Padding,
) -> tuple[Float[Tensor, "batch cells channels"], Float[Tensor, "batch cells points"]]:
    """`Y(p) = sum_k S[p, k] G(g, t_k)` with `S = softmax_k(theta(p) . G(phi, t_k))` (eq. 5-7), and S.

    G, bilinear interpolation, is linear in the map that it reads. So the products of a query with all cells are
    interpolated instead of the keys, and the weights are laid onto the cells before they meet the values: the same
    numbers, and no K-fold copy of the channels.
    """
    gathered, weights = [], []
    queries = max(1, ENTRIES_AT_ONCE // key.shape[:2].numel())
    for part, at in zip(query.split(queries, 1), positions.split(queries, 1), strict=True):
        index, share = corners(at, grid)
        products = part @ key.mT
        logits = (products.gather(2, index.flatten(2)).view_as(share) * share).sum(-1)
        shares = masked_softmax(logits, touches(at, grid)) if padding == "mask" else logits.softmax(-1)
        laid = torch.zeros_like(products).scatter_add(2, index.flatten(2), (shares[..., None] * share).flatten(2))
        gathered.append(laid @ value)
        weights.append(shares)
    return torch.cat(gathered, 1), torch.cat(weights, 1)


def gather_samples(
    query: Float[Tensor, "batch cells reduced"],
    key: Float[Tensor, "batch cells reduced"],
    value: Float[Tensor, "batch cells channels"],
    positions: Float[Tensor, "batch cells points 2"],
    grid: tuple[int, int],
    padding: Padding,
) -> tuple[Float[Tensor, "batch cells channels"], Float[Tensor, "batch cells points"]]:
    """What `gather_through_products` returns, at the paper's cost O(N K C): K keys and values are read for each query.

    A sampled key is a bag of four cells, weighted by their shares in bilinear interpolation; a gathered value is a bag
    of 4 K cells, weighted by share and attention. Neither copies the cells that it reads.
    """
    gathered, weights = [], []
    points, reduced = positions.shape[2], key.shape[2]
    queries = max(1, ENTRIES_AT_ONCE // (len(key) * points * reduced))
    starts = torch.arange(len(key), device=key.device)[:, None, None, None] * key.shape[1]  # of each image's cells
    keys, values = key.flatten(0, 1), value.flatten(0, 1)
    for part, at in zip(query.split(queries, 1), positions.split(queries, 1), strict=True):
        index, share = corners(at, grid)
        cells = index + starts
        sampled = sum_rows(keys, cells.flatten(0, 2), share.flatten(0, 2)).view(*share.shape[:3], reduced)
        logits = (sampled @ part[..., None])[..., 0]
        shares = masked_softmax(logits, touches(at, grid)) if padding == "mask" else logits.softmax(-1)
        read = sum_rows(values, cells.flatten(2).flatten(0, 1), (shares[..., None] * share).flatten(2).flatten(0, 1))
        gathered.append(read.view(len(key), -1, value.shape[2]))
        weights.append(shares)
    return torch.cat(gathered, 1), torch.cat(weights, 1)


def sum_rows(
    rows: Float[Tensor, "cells channels"], index: Int64[Tensor, "bags size"], weight: Float[Tensor, "bags size"]
) -> Float[Tensor, "bags channels"]:
    """`sum_s weight[b, s] rows[index[b, s]]` of every bag b."""
    return F.embedding_bag(index, rows, mode="sum", per_sample_weights=weight)


def corners(
    positions: Float[Tensor, "batch cells points 2"], grid: tuple[int, int]
) -> tuple[Int64[Tensor, "batch cells points 4"], Float[Tensor, "batch cells points 4"]]:
    """The cells around each (y, x), as indices, and their shares in bilinear interpolation; 0 beyond the grid."""
    height, width = grid
    low = positions.detach().floor()
    # Not 1 - |t - corner|: its derivative at 0 is 0, wrong at whole cells, where zero offsets start.
    past = positions - low
    along = tuple(zip((1 - past).unbind(-1), past.unbind(-1), strict=True))  # shares of the near and the far cell
    indices, shares = [], []
    for far_y, far_x in CORNERS:
        y, x = low[..., 0] + far_y, low[..., 1] + far_x
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        indices.append((y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long())
        shares.append(along[0][far_y] * along[1][far_x] * inside)
    return torch.stack(indices, -1), torch.stack(shares, -1)


def touches(positions: Float[Tensor, "*cells points 2"], grid: tuple[int, int]) -> Bool[Tensor, "*cells points"]:
    """Which positions lie less than a whole cell outside the grid, so that one of their four corners is on it."""
    y, x = positions.unbind(-1)
    return (y > -1) & (y < grid[0]) & (x > -1) & (x < grid[1])


def masked_softmax(logits: Float[Tensor, "*cells points"], kept: Bool[Tensor, "*cells points"]) -> Tensor:
    """A softmax over the kept entries alone; all zeros where none is kept."""
    none_kept = ~kept.any(-1, keepdim=True)
    return logits.masked_fill(~kept & ~none_kept, -torch.inf).softmax(-1) * kept
