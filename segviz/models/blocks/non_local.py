"""Non-local blocks over channels and over space, and the two ways of joining them (DANet, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, AttentionMap, ChannelAttention, DotProductAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock, zero
from segviz.models.blocks.layers import attention_softmax
from segviz.models.blocks.precision import full_precision

QUERIES_PER_STEP = 1024  # bounds the affinities that exist at a time: 1024 x cells


class ChannelNonLocal(ContextBlock):
    """Every channel gathers from every other: DANet's channel attention module (CAM), without convolutions.

    The papers print `softmax(E)`, DANet's code computes `softmax(max_i E - E)`, that is `softmax(-E)`:
    there a channel gathers from those least like it. `negate=True` follows the code.
    """

    def __init__(self, negate: bool = True) -> None:
        super().__init__()
        self.negate = negate
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `gamma A x + x`; the map "channel" holds A, whose rows sum to 1."""
        with full_precision(x) as exact:  # energies reach thousands: half precision would round them by whole units
            cells = exact.flatten(2)
            energy = cells @ cells.mT
            attention = attention_softmax(-energy if self.negate else energy)
            context = (attention @ cells).unflatten(2, x.shape[2:]).to(x.dtype)
        maps = tuple((ChannelAttention("channel", matrix),) for matrix in attention)
        return Attended(self.gamma * context + (x if residual is None else residual), context, maps)

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero((self.gamma,))


class SpatialNonLocal(ContextBlock):
    """Every cell gathers from every other: DANet's position attention module (PAM), unscaled dot products.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys; DANet's `channels // 8` by default.
    """

    def __init__(self, channels: int, reduced: int | None = None) -> None:
        super().__init__()
        reduced = reduced or max(channels // 8, 1)
        self.query, self.key = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `gamma softmax(q k) v + x`; the map "spatial" keeps q and k."""
        query, key, value = (layer(x).flatten(2).mT for layer in (self.query, self.key, self.value))
        # A block of queries at a time: the N x N matrix never exists, as queries do not depend on each other.
        gathered = [
            attention_softmax(part @ key.mT).to(value.dtype) @ value for part in query.split(QUERIES_PER_STEP, 1)
        ]
        context = torch.cat(gathered, 1).mT.unflatten(2, x.shape[2:])
        grid = (x.shape[2], x.shape[3])
        maps = tuple((DotProductAttention("spatial", grid, q, k),) for q, k in zip(query, key, strict=True))
        return Attended(self.gamma * context + (x if residual is None else residual), context, maps)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries and keys."""
        return {self.query: SLOW, self.key: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero((self.gamma,))


class DualNonLocal(ContextBlock):
    """Space and channels in parallel, summed, each with its own gamma and residual: 2x where both gammas are 0."""

    def __init__(self, channels: int, reduced: int | None = None, negate: bool = True) -> None:
        super().__init__()
        self.spatial, self.channel = SpatialNonLocal(channels, reduced), ChannelNonLocal(negate)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """The sum of both blocks' features, and of both contexts; maps "spatial" and "channel"."""
        spatial, channel = self.spatial(x, residual), self.channel(x, residual)
        return Attended(
            spatial.features + channel.features, spatial.context + channel.context, join_maps(spatial, channel)
        )

    def switch_off(self) -> None:
        """Afterwards the block returns its input twice over: it sums two residuals."""
        self.spatial.switch_off()
        self.channel.switch_off()


class ChannelSpatialNonLocal(ContextBlock):
    """Channels first, then space; the other order does not converge (FLANet, footnote 1)."""

    def __init__(self, channels: int, reduced: int | None = None, negate: bool = True) -> None:
        super().__init__()
        self.channel, self.spatial = ChannelNonLocal(negate), SpatialNonLocal(channels, reduced)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """The spatial block's features and context upon the channel block's; maps "spatial" and "channel"."""
        channel = self.channel(x)
        beside = None if residual is None else self.channel(x, residual).features
        spatial = self.spatial(channel.features, beside)
        return Attended(spatial.features, spatial.context, join_maps(spatial, channel))

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        self.spatial.switch_off()
        self.channel.switch_off()


class SpatialChannelNonLocal(ContextBlock):
    """Space first, then channels, the order of which FLANet's footnote 1 says that its training does not converge."""

    def __init__(self, channels: int, reduced: int | None = None, negate: bool = True) -> None:
        super().__init__()
        self.spatial, self.channel = SpatialNonLocal(channels, reduced), ChannelNonLocal(negate)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """The channel block's features and context upon the spatial block's; maps "channel" and "spatial"."""
        spatial = self.spatial(x)
        beside = None if residual is None else self.spatial(x, residual).features
        channel = self.channel(spatial.features, beside)
        return Attended(channel.features, channel.context, join_maps(channel, spatial))

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        self.spatial.switch_off()
        self.channel.switch_off()


def join_maps(first: Attended, second: Attended) -> tuple[tuple[AttentionMap, ...], ...]:
    """The maps of two blocks, image by image."""
    return tuple(one + other for one, other in zip(first.maps, second.maps, strict=True))
