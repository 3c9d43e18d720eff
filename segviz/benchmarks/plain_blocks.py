"""The attention blocks in the plainest torch: what a reader of the papers would write first, to measure ours against.

Each function takes our block, for its layers and parameters alone, and features (batch, channels, height, width). It
writes every affinity out in full, keeps no map, and returns the block's features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segviz.models.blocks import (
    ChannelNonLocal,
    ChannelSpatialNonLocal,
    ContextBlock,
    DualNonLocal,
    ExpectationMaximization,
    FullyAttentional,
    PointWiseSpatialAttention,
    RecurrentCrissCross,
    SparseNonLocal,
    SpatialNonLocal,
    StripAttentionModule,
)
from segviz.models.blocks.point_wise_spatial_attention import PointWiseBranch


def run_plainly(block: ContextBlock, x: Tensor) -> Tensor:
    """The block's features of x, plainly computed.

    Raises:
        ValueError: there is no plain formulation of this block.
    """
    if type(block) not in PLAIN_BLOCKS:
        raise ValueError(f"{type(block).__name__} has no plain formulation; leave --plain out")
    return PLAIN_BLOCKS[type(block)](block, x)


def channel_plainly(block: ChannelNonLocal, x: Tensor) -> Tensor:
    """`softmax(X X^T) X` or `softmax(-X X^T) X`, as the block has it."""
    cells = x.flatten(2)
    energy = torch.bmm(cells, cells.mT)
    context = torch.bmm(torch.softmax(-energy if block.negate else energy, 2), cells)
    return block.gamma * context.view_as(x) + x


def spatial_plainly(block: SpatialNonLocal, x: Tensor) -> Tensor:
    """`softmax(Q K^T) V` with the N x N matrix written out."""
    query, key, value = block.query(x).flatten(2), block.key(x).flatten(2), block.value(x).flatten(2)
    attention = torch.softmax(torch.bmm(query.mT, key), 2)
    return block.gamma * torch.bmm(value, attention.mT).view_as(x) + x


def dual_plainly(block: DualNonLocal, x: Tensor) -> Tensor:
    """Both attentions of x, added."""
    return spatial_plainly(block.spatial, x) + channel_plainly(block.channel, x)


def channel_spatial_plainly(block: ChannelSpatialNonLocal, x: Tensor) -> Tensor:
    """One attention after the other."""
    return spatial_plainly(block.spatial, channel_plainly(block.channel, x))


def bases_plainly(block: ExpectationMaximization, x: Tensor) -> Tensor:
    """EMANet's steps, one after the other."""
    cells = block.before(x).flatten(2)
    bases = block.initial_bases.expand(len(x), -1, -1)
    for _ in range(block.steps):
        shares = torch.softmax(torch.bmm(cells.mT, bases), 2)
        bases = torch.bmm(cells, shares / (block.epsilon + shares.sum(1, keepdim=True)))
        bases = bases / (block.epsilon + bases.norm(dim=1, keepdim=True))
    return F.relu(block.after(F.relu(torch.bmm(bases, shares.mT).view_as(x))) + x)


def crosses_plainly(block: RecurrentCrissCross, x: Tensor) -> Tensor:
    """CCNet's passes, the affinities of columns and rows as sums over products (einsum)."""
    itself = torch.eye(x.shape[2], dtype=torch.bool, device=x.device)[:, None, :]  # row, column, key row
    for _ in range(block.passes):
        query, key, value = block.query(x), block.key(x), block.value(x)
        down = torch.einsum("bcyx,bcrx->byxr", query, key).masked_fill(itself, -torch.inf)
        weights = torch.softmax(torch.cat((down, torch.einsum("bcyx,bcyr->byxr", query, key)), 3), 3)
        down, along = weights.split((x.shape[2], x.shape[3]), 3)
        context = torch.einsum("byxr,bcrx->bcyx", down, value) + torch.einsum("byxr,bcyr->bcyx", along, value)
        x = block.gamma * context + x
    return x


def lines_plainly(block: FullyAttentional, x: Tensor) -> Tensor:
    """FLANet's two groups of channel affinities, the pooled context repeated for each line as the paper draws it."""
    (batch, _, height, width), context = x.shape, torch.zeros_like(x)
    for across, linear in ((2, block.pooled_columns), (3, block.pooled_rows)):
        lines = x.transpose(1, across).flatten(0, 1)  # (batch x lines, channels, length), or transposed
        lines = lines if across == 2 else lines.mT
        count = height if across == 2 else width
        pooled = linear(x.mean(across).mT).repeat_interleave(count, 0)  # (batch x lines, length, channels)
        gathered = torch.bmm(torch.softmax(torch.bmm(lines, pooled), 2), lines)
        gathered = (gathered if across == 2 else gathered.mT).unflatten(0, (batch, count))
        context = context + gathered.transpose(1, across)
    return block.gamma * context + x


def strips_plainly(block: StripAttentionModule, x: Tensor) -> Tensor:
    """`softmax(Q K^T) V` with the means of columns, or rows, as keys and values."""
    pooled = 2 if block.axis == "vertical" else 3
    key, value = block.key(x).mean(pooled), block.value(x).mean(pooled)
    attention = torch.softmax(torch.bmm(block.query(x).flatten(2).mT, key), 2)
    return torch.bmm(value, attention.mT).view_as(x) + x


def samples_plainly(block: SparseNonLocal, x: Tensor) -> Tensor:
    """SSANet's eq. 4-7 by `grid_sample`: a K-fold copy of keys and values. Zeros outside the map, as in the network.

    Raises:
        ValueError: the block's padding is not "zeros".
    """
    if block.padding != "zeros":
        raise ValueError(f"padding '{block.padding}' has no plain formulation; use zeros")
    height, width = x.shape[2:]
    rows, columns = torch.meshgrid(*(torch.arange(side, device=x.device) for side in (height, width)), indexing="ij")
    cells = torch.stack((rows, columns), -1).flatten(0, 1)[:, None]
    at = block.offset(x).flatten(2).mT.unflatten(2, (-1, 2)) + cells + block.window  # (batch, cells, points, 2)
    shares = torch.stack(
        [(2 * along + 1) / side - 1 for along, side in zip(at.unbind(-1), x.shape[2:], strict=True)], -1
    )

    def sample(features: Tensor) -> Tensor:
        return F.grid_sample(features, shares.flip(-1), align_corners=False)  # (batch, channels, cells, points)

    weights = torch.softmax(torch.einsum("bcp,bcpk->bpk", block.query(x).flatten(2), sample(block.key(x))), 2)
    context = torch.einsum("bpk,bcpk->bcp", weights, sample(block.value(x))).unflatten(2, (height, width))
    result: Tensor = block.gamma(context) + x
    return result


def masks_plainly(block: PointWiseSpatialAttention, x: Tensor) -> Tensor:
    """PSANet's eq. 8-9, the window of each cell cut out of its over-completed map one after the other.

    Raises:
        ValueError: the masks are compact, or have no softmax.
    """
    full = (x.shape[2], x.shape[3])
    size, corners = block.shrunk_grid(full)
    moved = [branch_plainly(branch, x, size, corners) for branch in block.branches.values()]  # type: ignore[arg-type]
    grown = F.interpolate(block.project(torch.cat(moved, 1)), full, mode="bilinear", align_corners=corners)
    return torch.cat((x, grown), 1)


def branch_plainly(branch: PointWiseBranch, x: Tensor, size: tuple[int, int], corners: bool) -> Tensor:
    """The features that one branch moves.

    Raises:
        ValueError: its masks are compact, or have no softmax.
    """
    if branch.compact or not branch.softmax:
        raise ValueError("compact masks and masks without a softmax have no plain formulation; leave --plain out")
    (height, width), (tall, wide) = size, branch.mask_size
    if tall < 2 * height - 1 or wide < 2 * width - 1:
        raise ValueError(f"masks of {tall} x {wide} do not cover a {height} x {width} grid; leave --plain out")
    reduced = F.interpolate(branch.reduce(x), size, mode="bilinear", align_corners=corners)
    masks = branch.mask(reduced).unflatten(1, branch.mask_size)
    up, left = (tall - 1) // 2, (wide - 1) // 2
    energy = masks.new_empty(len(x), height * width, height * width)
    for row in range(height):
        for column in range(width):
            window = masks[:, up - row : up - row + height, left - column : left - column + width, row, column]
            energy[:, row * width + column] = window.flatten(1)
    energy = energy if branch.direction == "collect" else energy.mT
    moved: Tensor = torch.bmm(torch.softmax(energy, 2), reduced.flatten(2).mT).mT.unflatten(2, size)
    return moved


PLAIN_BLOCKS: Mapping[type[ContextBlock], Callable[[Any, Tensor], Tensor]] = MappingProxyType({
    ChannelNonLocal: channel_plainly,
    SpatialNonLocal: spatial_plainly,
    DualNonLocal: dual_plainly,
    ChannelSpatialNonLocal: channel_spatial_plainly,
    ExpectationMaximization: bases_plainly,
    RecurrentCrissCross: crosses_plainly,
    FullyAttentional: lines_plainly,
    StripAttentionModule: strips_plainly,
    SparseNonLocal: samples_plainly,
    PointWiseSpatialAttention: masks_plainly,
})  # fmt: skip
