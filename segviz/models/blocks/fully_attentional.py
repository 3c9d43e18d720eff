"""The fully attentional block (FLANet, AAAI 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, AxisChannelAttention
from segviz.models.blocks.context_block import ContextBlock, zero
from segviz.models.blocks.layers import attention_softmax
from segviz.models.blocks.memory_layout import as_matrices
from segviz.models.blocks.precision import full_precision

LINES_AT_ONCE = 16  # bounds the affinities that exist at a time: 16 x channels x channels


class FullyAttentional(ContextBlock):
    """Channel affinities of every row and every column, each against the picture pooled the other way (eq. 1-2).

    Only the block's core, an identity while gamma is 0; the convolution that the released code adds after
    it is left to the network. That code also pairs slices with the wrong image of a batch
    (`repeat` where `repeat_interleave` is meant); here each image meets its own pooled context.

    Args:
        channels: input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pooled_rows, self.pooled_columns = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `gamma context + x`; the maps "rows" and "columns" keep x and the pooled queries."""
        with full_precision(x) as exact:
            along = project(exact.mean(2), self.pooled_columns)  # q_w (batch, channels, width)
            down = project(exact.mean(3), self.pooled_rows)  # q_h (batch, channels, height)
            from_rows = attend_lines(exact.permute(0, 2, 1, 3), along)
            from_columns = attend_lines(exact.permute(0, 3, 1, 2), down)
            context = (from_rows.permute(0, 2, 1, 3) + from_columns.permute(0, 2, 3, 1)).to(x.dtype)
        grid = (x.shape[2], x.shape[3])
        maps = tuple(
            (
                AxisChannelAttention("rows", grid, exact[image], along[image], "rows"),
                AxisChannelAttention("columns", grid, exact[image], down[image], "columns"),
            )
            for image in range(len(x))
        )
        return Attended((x if residual is None else residual) + self.gamma * context, context, maps)

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero((self.gamma,))


def project(
    pooled: Float[Tensor, "batch channels length"], linear: nn.Linear
) -> Float[Tensor, "batch channels length"]:
    """The linear layer over channels at each place of the pooled line, in the line's precision, not the layer's."""
    if linear.weight.dtype == pooled.dtype:
        return linear(pooled.mT).mT  # type: ignore[no-any-return]
    return F.linear(pooled.mT, linear.weight.to(pooled.dtype), linear.bias.to(pooled.dtype)).mT


def attend_lines(
    lines: Float[Tensor, "batch lines channels length"], context: Float[Tensor, "batch channels length"]
) -> Float[Tensor, "batch lines channels length"]:
    """`A x` with `A = softmax_i(sum_s x[j, s] q[i, s])`, line by line (eq. 1-2)."""
    lines, queries = as_matrices(lines), context[:, None].mT
    parts = [attention_softmax(part @ queries) @ part for part in lines.split(LINES_AT_ONCE, 1)]
    return as_matrices(torch.cat(parts, 1))
