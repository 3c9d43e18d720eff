"""The strip attention module (AttaNet, AAAI 2021, section Strip Attention Module)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, StripAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock, silence
from segviz.models.blocks.layers import attention_softmax, conv_bn_relu


class StripAttentionModule(ContextBlock):
    """Every cell gathers from whole columns: keys and values are the means of each strip.

    There is no gamma and no scaling. The softmax runs over the strips, as in the released code; the printed
    denominator sums over all cells.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys.
        axis: "vertical" strips are columns, as published; "horizontal" ones are rows.
        activated: BatchNorm and ReLU after each projection, as in the released code; plain convolutions if not.
    """

    def __init__(
        self,
        channels: int,
        reduced: int = 64,
        axis: Literal["vertical", "horizontal"] = "vertical",
        activated: bool = True,
    ) -> None:
        super().__init__()
        self.axis = axis
        layer = conv_bn_relu if activated else lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1, bias=False)
        self.query, self.key = layer(channels, reduced), layer(channels, reduced)
        self.value = layer(channels, channels)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `x + sum_j A[p, j] v_j`; the map "strip" keeps q and the strips' keys."""
        pooled = 2 if self.axis == "vertical" else 3
        query = self.query(x).flatten(2).mT
        key, value = self.key(x).mean(pooled).mT, self.value(x).mean(pooled).mT  # (batch, strips, ...)
        weights = attention_softmax(query @ key.mT).to(value.dtype)
        context = (weights @ value).mT.unflatten(2, x.shape[2:])
        grid = (x.shape[2], x.shape[3])
        maps = tuple((StripAttention("strip", grid, q, k, self.axis),) for q, k in zip(query, key, strict=True))
        return Attended((x if residual is None else residual) + context, context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys."""
        return {self.query: SLOW, self.key: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        silence(self.value)
