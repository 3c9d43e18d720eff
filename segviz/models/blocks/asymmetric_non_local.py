"""Asymmetric non-local blocks, whose keys and values are a pyramid of means (Zhu et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, PooledAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock
from segviz.models.blocks.layers import attention_softmax, conv_bn_relu

PYRAMID_LEVELS = (1, 3, 6, 8)  # bins along each side


class PyramidAttention(nn.Module):
    """Every cell gathers from the bins of a pyramid: `after(softmax(q k / sqrt(d)) v)` (section 3.2, eq. 6-8).

    Keys and values are means of `key(y)` and `value(y)` over each bin. The values are linear in their cells, so the
    map tells exactly what each cell of `value(y)` gives.

    Args:
        name: the map's name.
        channels: channels of the features that gather, and of the result.
        source: channels of the features y that they gather from.
        reduced: channels of queries, keys and values.
        levels: bins along each side, for each level of the pyramid.
        shared: whether queries and keys are made by one layer.
    """

    def __init__(
        self, name: str, channels: int, source: int, reduced: int, levels: tuple[int, ...], shared: bool
    ) -> None:
        super().__init__()
        self.name, self.levels, self.scale = name, levels, reduced**-0.5
        self.key = conv_bn_relu(source, reduced)
        self.query = self.key if shared else conv_bn_relu(channels, reduced)
        self.value, self.after = nn.Conv2d(source, reduced, 1), nn.Conv2d(reduced, channels, 1)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], y: Float[Tensor, "batch source height width"]
    ) -> tuple[Float[Tensor, "batch channels height width"], tuple[tuple[PooledAttention], ...]]:
        """What x gathers from y on the same grid, and the map, which spreads each bin's weight over its cells."""
        grid = (x.shape[2], x.shape[3])
        key, value = (pool_pyramid(one, self.levels) for one in (self.key(y), self.value(y)))
        weights = attention_softmax(self.query(x).flatten(2).mT @ key * self.scale)
        context = self.after((value @ weights.to(value.dtype).mT).unflatten(2, grid))
        pools = pyramid_pools(grid, self.levels, weights)
        words = f"bins of a pyramid of {', '.join(map(str, self.levels))}"
        return context, tuple((PooledAttention(self.name, grid, one, pools, words),) for one in weights)


class AsymmetricNonLocal(ContextBlock):
    """Features gather from their own pyramid, and are joined with what they found (the paper's APNB).

    Args:
        channels: input and output channels.
        reduced: channels of queries, keys and values; half the input's by default.
        levels: bins along each side, for each level of the pyramid.
    """

    def __init__(self, channels: int, reduced: int | None = None, levels: tuple[int, ...] = PYRAMID_LEVELS) -> None:
        super().__init__()
        self.channels = channels
        self.attend = PyramidAttention("pyramid", channels, channels, reduced or max(channels // 2, 1), levels, True)
        self.join = conv_bn_relu(2 * channels, channels)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `join(y, x)` and the context y; the map "pyramid" keeps weights and bins."""
        context, maps = self.attend(x, x)
        return Attended(self.join(torch.cat((context, x if residual is None else residual), 1)), context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys, which share a layer."""
        return {self.attend.key: SLOW}

    @torch.no_grad()
    def switch_off(self) -> None:
        """Afterwards `join` reads x alone."""
        self.join[0].weight[:, : self.channels].zero_()  # type: ignore[index]


def pool_pyramid(
    x: Float[Tensor, "batch channels height width"], levels: tuple[int, ...]
) -> Float[Tensor, "batch channels bins"]:
    """The means over all bins of all levels."""
    return torch.cat([F.adaptive_avg_pool2d(x, side).flatten(2) for side in levels], 2)


def pyramid_pools(grid: tuple[int, int], levels: tuple[int, ...], like: Tensor) -> Float[Tensor, "cells bins"]:
    """How much of each bin of `pool_pyramid` comes from each cell: a mean over its rows times one over its columns."""
    pools = []
    for side in levels:
        down, along = (
            F.adaptive_avg_pool1d(torch.eye(lines, dtype=like.dtype, device=like.device), side) for lines in grid
        )
        pools.append(torch.einsum("ri,cj->rcij", down, along).flatten(2).flatten(0, 1))
    return torch.cat(pools, 1)
