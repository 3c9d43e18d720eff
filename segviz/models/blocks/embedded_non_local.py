"""Non-local blocks with scaled products and an output projection, plain and disentangled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, DotProductAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock, zero
from segviz.models.blocks.layers import attention_softmax
from segviz.models.blocks.non_local import QUERIES_PER_STEP


class EmbeddedNonLocal(ContextBlock):
    """Every cell gathers from every other: `x + BN(W_z y)`, `y = softmax(q k / sqrt(d)) v` (embedded Gaussian).

    Wang et al. (CVPR 2018) do not scale; mmsegmentation divides by the root of the queries' channels, as Vaswani et al.

    Args:
        channels: input and output channels.
        reduced: channels of queries, keys and values; half the input's by default.
        scaled: whether the products are divided by `sqrt(reduced)`.
    """

    def __init__(self, channels: int, reduced: int | None = None, scaled: bool = True) -> None:
        super().__init__()
        reduced = reduced or max(channels // 2, 1)
        self.scale = reduced**-0.5 if scaled else 1.0
        self.query, self.key = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.value = nn.Conv2d(channels, reduced, 1)
        self.project = nn.Sequential(nn.Conv2d(reduced, channels, 1, bias=False), nn.BatchNorm2d(channels))
        nn.init.zeros_(self.project[1].weight)  # type: ignore[arg-type]

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `x + project(y)` and the context y; the map "spatial" keeps q, scaled, and k."""
        query, key = (layer(x).flatten(2).mT for layer in (self.query, self.key))
        context, maps = attend_places("spatial", query * self.scale, key, self.value(x))
        return Attended((x if residual is None else residual) + self.project(context), context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys."""
        return {self.query: SLOW, self.key: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero(self.project[1].parameters())


class DisentangledNonLocal(EmbeddedNonLocal):
    """A pairwise term of whitened queries and keys, and a unary one that is alike for all cells (DNL, ECCV 2020).

    `x + BN(W_z y) + BN(W_z u)`, as mmsegmentation computes it: y with `softmax((q - mean q)(k - mean k) / (sqrt(d)
    t))`, u with `softmax(m)`, where m is one number for each cell.

    Args:
        channels: input and output channels.
        reduced: channels of queries, keys and values; half the input's by default.
        scaled: whether the products are divided by `sqrt(reduced)`.
        temperature: t.
    """

    def __init__(
        self, channels: int, reduced: int | None = None, scaled: bool = True, temperature: float = 0.05
    ) -> None:
        super().__init__(channels, reduced, scaled)
        self.scale /= temperature
        self.unary = nn.Conv2d(channels, 1, 1)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features as above and the context `y + u`; maps "pairwise" and "unary"."""
        query, key = (layer(x).flatten(2).mT for layer in (self.query, self.key))
        query, key = query - query.mean(1, keepdim=True), key - key.mean(1, keepdim=True)
        value, salience = self.value(x), self.unary(x).flatten(2).mT
        pairwise, maps = attend_places("pairwise", query * self.scale, key, value)
        unary, even = attend_alike("unary", salience, value)
        projected = self.project(pairwise) + self.project(unary)
        joined = tuple(one + other for one, other in zip(maps, even, strict=True))
        return Attended((x if residual is None else residual) + projected, pairwise + unary, joined)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries, keys and the unary term."""
        return {self.query: SLOW, self.key: SLOW, self.unary: SLOW}


class ProjectedNonLocal(ContextBlock):
    """Every cell gathers from every other: `gamma(Y) + X`, `Y = g(X) softmax(theta phi)^T` (SSANet, eq. 1-3).

    This is how SSANet describes the block of Wang et al.: values of all channels, no scaling, and gamma a 1x1
    convolution. It starts at zero, as this library's sparse block does; the paper does not say how it starts.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys; half the input's by default.
    """

    def __init__(self, channels: int, reduced: int | None = None) -> None:
        super().__init__()
        reduced = reduced or max(channels // 2, 1)
        self.query, self.key = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.value, self.gamma = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        zero(self.gamma.parameters())

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `gamma(Y) + x` and the context Y; the map "spatial" keeps q and k."""
        query, key = (layer(x).flatten(2).mT for layer in (self.query, self.key))
        context, maps = attend_places("spatial", query, key, self.value(x))
        return Attended(self.gamma(context) + (x if residual is None else residual), context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys."""
        return {self.query: SLOW, self.key: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero(self.gamma.parameters())


PlaceMaps = tuple[tuple[DotProductAttention], ...]


def attend_places(
    name: str,
    query: Float[Tensor, "batch cells reduced"],
    key: Float[Tensor, "batch cells reduced"],
    value: Float[Tensor, "batch channels height width"],
) -> tuple[Float[Tensor, "batch channels height width"], PlaceMaps]:
    """`softmax(q k) v` and its map, a block of queries at a time: the N x N matrix never exists."""
    values = value.flatten(2).mT
    parts = [attention_softmax(part @ key.mT).to(values.dtype) @ values for part in query.split(QUERIES_PER_STEP, 1)]
    grid = (value.shape[2], value.shape[3])
    maps = tuple((DotProductAttention(name, grid, q, k),) for q, k in zip(query, key, strict=True))
    return torch.cat(parts, 1).mT.unflatten(2, grid), maps


def attend_alike(
    name: str,
    salience: Float[Tensor, "batch cells 1"],
    value: Float[Tensor, "batch channels height width"],
) -> tuple[Float[Tensor, "batch channels 1 1"], PlaceMaps]:
    """`softmax(m) v`, the same for all cells, and its map, in which every query is 1."""
    weights = attention_softmax(salience.mT).to(value.dtype)
    pooled = (value.flatten(2) @ weights.mT)[..., None]
    grid = (value.shape[2], value.shape[3])
    maps = tuple((DotProductAttention(name, grid, torch.ones_like(one), one),) for one in salience)
    return pooled, maps
