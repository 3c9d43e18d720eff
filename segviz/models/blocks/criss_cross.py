"""Recurrent criss-cross attention (CCNet, ICCV 2019)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import Attended, CrissCrossAttention
from segviz.models.blocks.context_block import QueryKeyValueBlock
from segviz.models.blocks.layers import attention_softmax
from segviz.models.blocks.memory_layout import to_channels_last


class RecurrentCrissCross(QueryKeyValueBlock):
    """Each cell gathers from its row and column, twice with the same weights, so from everywhere (section 3.2).

    One softmax runs over the H + W - 1 distinct cells of a cross.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys; `channels // 8` by default.
        passes: R in the paper.
    """

    def __init__(self, channels: int, reduced: int | None = None, passes: int = 2) -> None:
        super().__init__(channels, reduced)
        self.passes = passes

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features after all passes and the last pass's context; the map "cross" keeps each pass's q and k."""
        features, queries, keys = to_channels_last(x), [], []
        for _ in range(self.passes):
            query, key, value = self.query(features), self.key(features), self.value(features)
            context = gather_cross(query, key, value)
            features = self.gamma * context + features
            if residual is not None:  # what later passes read still depends on x, by way of their context
                residual = self.gamma * context + residual
            queries.append(query.flatten(2).mT)
            keys.append(key.flatten(2).mT)
        grid = (x.shape[2], x.shape[3])
        maps = tuple(
            (CrissCrossAttention("cross", grid, query, key),)
            for query, key in zip(torch.stack(queries, 1), torch.stack(keys, 1), strict=True)
        )
        return Attended(features if residual is None else residual, context, maps)


def gather_cross(
    query: Float[Tensor, "batch reduced height width"],
    key: Float[Tensor, "batch reduced height width"],
    value: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels height width"]:
    """The attention of each cell over its cross, applied to the values (CCNet, eq. 1-2), in channels_last."""
    height = query.shape[2]
    query, key, value = (to_channels_last(one).permute(0, 2, 3, 1) for one in (query, key, value))
    down = query.transpose(1, 2) @ key.permute(0, 2, 3, 1)  # (batch, width, query row, key row)
    along = query @ key.mT  # (batch, height, query column, key column)
    itself = torch.eye(height, dtype=torch.bool, device=query.device)
    down = down.masked_fill(itself, -torch.inf).transpose(1, 2)  # the cell itself counts once, with its row
    weights = attention_softmax(torch.cat((down, along), 3)).to(value.dtype)
    down, along = weights[..., :height], weights[..., height:]
    from_column = down.transpose(1, 2) @ value.transpose(1, 2)  # (batch, width, row, channels)
    from_row = along @ value  # (batch, height, column, channels)
    return to_channels_last((from_row + from_column.transpose(1, 2)).permute(0, 3, 1, 2))
