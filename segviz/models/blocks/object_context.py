"""Object-contextual representations (OCRNet, ECCV 2020): what a cell draws from soft regions of objects."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, PooledAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock
from segviz.models.blocks.layers import attention_softmax, conv_bn_relu


class ObjectContext(ContextBlock):
    """Each cell gathers from K soft regions, one for each class (OCRNet, eq. 2-4), as mmsegmentation computes it.

    A first classifier's logits m say where region k is: `s_jk = softmax_j(m_jk)`, and its features are the mean
    `f_k = sum_j s_jk x_j`. A cell weighs them by `w_pk = softmax_k(query(x_p) key(f_k) / sqrt(d))`. Then
    `y_p = after(sum_k w_pk value(f_k))`, and the output is `join(y, x)`.

    Args:
        channels: channels of x, and of the output.
        regions: K; the input has so many channels more, which are the logits m.
        reduced: channels of queries, keys and values; half of x's by default.
    """

    def __init__(self, channels: int, regions: int, reduced: int | None = None) -> None:
        super().__init__()
        reduced = reduced or max(channels // 2, 1)
        self.channels, self.regions, self.scale = channels, regions, reduced**-0.5
        self.query, self.key = (
            nn.Sequential(conv_bn_relu(channels, reduced), conv_bn_relu(reduced, reduced)) for _ in range(2)
        )
        self.value, self.after = conv_bn_relu(channels, reduced), conv_bn_relu(reduced, channels)
        self.join = conv_bn_relu(2 * channels, channels)

    def forward(
        self,
        x: Float[Tensor, "batch channels_and_regions height width"],
        residual: Float[Tensor, "batch channels_and_regions height width"] | None = None,
    ) -> Attended:
        """Features `join(y, x)` and the context y; the map "regions" keeps w and s.

        The map is exact in its weights. It leaves out what `value` does to each region's features on their way.
        """
        cells, logits = x.split((self.channels, self.regions), 1)
        pools = attention_softmax(logits.flatten(2))
        means = (pools.to(cells.dtype) @ cells.flatten(2).mT).mT[..., None]
        query, key, value = (one.flatten(2) for one in (self.query(cells), self.key(means), self.value(means)))
        weights = attention_softmax(query.mT @ key * self.scale)
        gathered = (value @ weights.to(value.dtype).mT).unflatten(2, x.shape[2:])
        context = self.after(gathered)
        beside = cells if residual is None else residual[:, : self.channels]
        grid = (x.shape[2], x.shape[3])
        maps = tuple(
            (PooledAttention("regions", grid, own, spread.mT, "regions"),)
            for own, spread in zip(weights, pools, strict=True)
        )
        return Attended(self.join(torch.cat((context, beside), 1)), context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys."""
        return {self.query: SLOW, self.key: SLOW}

    @torch.no_grad()
    def switch_off(self) -> None:
        """Afterwards `join` reads x alone."""
        self.join[0].weight[:, : self.channels].zero_()  # type: ignore[index]
