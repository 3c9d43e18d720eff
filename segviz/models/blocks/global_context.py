"""The global context block (GCNet, ICCV workshops 2019)."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.blocks.context_block import SLOW, ContextBlock, zero
from segviz.models.blocks.embedded_non_local import attend_alike


class GlobalContext(ContextBlock):
    """One weighted mean of all cells, transformed and added to every cell (section 3.3).

    All cells have the same weights, `softmax_j(m_j)`: the authors found that non-local blocks learn nearly that.

    Args:
        channels: input and output channels.
        inner: channels of the transform; a quarter of the input's by default.
        added: whether the transform is added.
        multiplied: whether another transform, after a sigmoid, is a factor.
    """

    def __init__(self, channels: int, inner: int | None = None, added: bool = True, multiplied: bool = False) -> None:
        super().__init__()
        inner = inner or max(channels // 4, 1)
        self.salience = nn.Conv2d(channels, 1, 1)
        self.add = transform(channels, inner) if added else None
        self.multiply = transform(channels, inner) if multiplied else None

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `x sigmoid(multiply(c)) + add(c)` and the context c in every cell; the map "global" keeps m."""
        pooled, maps = attend_alike("global", self.salience(x).flatten(2).mT, x)
        features = x if residual is None else residual
        if self.multiply is not None:
            features = features * self.multiply(pooled).sigmoid()
        if self.add is not None:
            features = features + self.add(pooled)
        return Attended(features, pooled.expand_as(x), maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """What makes the weights."""
        return {self.salience: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input, or half of it where there is a factor: the sigmoid of 0."""
        for branch in (self.add, self.multiply):
            if branch is not None:
                zero(branch[-1].parameters())


def transform(channels: int, inner: int) -> nn.Sequential:
    """The bottleneck that transforms the pooled features: 1x1, LayerNorm, ReLU, 1x1; it starts at zero."""
    last = nn.Conv2d(inner, channels, 1)
    zero(last.parameters())
    return nn.Sequential(nn.Conv2d(channels, inner, 1), nn.LayerNorm([inner, 1, 1]), nn.ReLU(inplace=True), last)
