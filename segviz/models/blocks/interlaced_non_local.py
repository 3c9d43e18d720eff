"""Interlaced sparse self-attention (Huang et al., arXiv 1907.12273): far cells first, then near ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.grid_map import Grid
from segviz.attention.maps import Attended, InterlacedAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock
from segviz.models.blocks.layers import attention_softmax, conv_bn_relu


class GroupAttention(nn.Module):
    """`after(softmax(q k / sqrt(d)) v)` within groups of cells that do not see each other.

    Args:
        channels: input and output channels, and those of the values.
        reduced: channels of queries and keys.
    """

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.scale = reduced**-0.5
        self.query, self.key = (
            nn.Sequential(conv_bn_relu(channels, reduced), conv_bn_relu(reduced, reduced)) for _ in range(2)
        )
        self.value, self.after = nn.Conv2d(channels, channels, 1), conv_bn_relu(channels, channels)

    def forward(self, x: Float[Tensor, "batch channels groups cells"]) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the same shape; queries, scaled, and keys, (batch, groups, cells, reduced)."""
        query, key, value = (one.permute(0, 2, 3, 1) for one in (self.query(x), self.key(x), self.value(x)))
        query = query * self.scale
        # One group at a time: the affinities of all groups never exist together.
        gathered = [
            attention_softmax(q @ k.mT).to(v.dtype) @ v
            for q, k, v in zip(query.unbind(1), key.unbind(1), value.unbind(1), strict=True)
        ]
        return self.after(torch.stack(gathered, 1).permute(0, 3, 1, 2)), query, key


class InterlacedNonLocal(ContextBlock):
    """All cells with the same place in their blocks, then all cells of a block, as mmsegmentation computes it.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys; half the input's by default.
        block: rows and columns of a block; the grid is padded with zeros, evenly on both sides, to whole blocks.
    """

    def __init__(self, channels: int, reduced: int | None = None, block: Grid = (8, 8)) -> None:
        super().__init__()
        reduced = reduced or max(channels // 2, 1)
        self.channels, self.block = channels, block
        self.far, self.near = GroupAttention(channels, reduced), GroupAttention(channels, reduced)
        self.join = conv_bn_relu(2 * channels, channels)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `join(y, x)` and the context y; the map "interlaced" keeps queries and keys of both passes.

        The map leaves out what the first pass's `after` does to the features on their way.
        """
        (height, width), (rows, columns) = x.shape[2:], self.block
        down, along = -(-height // rows), -(-width // columns)
        top, left = (down * rows - height) // 2, (along * columns - width) // 2
        padding = (left, along * columns - width - left, top, down * rows - height - top)
        tiles = F.pad(x, padding).reshape(len(x), -1, down, rows, along, columns).permute(0, 1, 3, 5, 2, 4)
        far, far_query, far_key = self.far(tiles.flatten(4).flatten(2, 3))
        near, near_query, near_key = self.near(far.mT)
        cut = near.reshape(len(x), -1, down, along, rows, columns).transpose(3, 4).flatten(4).flatten(2, 3)
        context = cut[:, :, top : top + height, left : left + width]
        factors = zip(far_query, far_key, near_query, near_key, strict=True)
        maps = tuple(
            (InterlacedAttention("interlaced", (height, width), *one, self.block, (top, left)),) for one in factors
        )
        return Attended(self.join(torch.cat((context, x if residual is None else residual), 1)), context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys of both passes."""
        return {layer: SLOW for one in (self.far, self.near) for layer in (one.query, one.key)}

    @torch.no_grad()
    def switch_off(self) -> None:
        """Afterwards `join` reads x alone."""
        self.join[0].weight[:, : self.channels].zero_()  # type: ignore[index]
