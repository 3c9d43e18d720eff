"""Non-local blocks over channels and over space, and the two ways of joining them (DANet, CVPR 2019)."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, AttentionMap, ChannelAttention, DotProductAttention
from segviz.models.blocks.context_block import ContextBlock, QueryKeyValueBlock, zero
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


class SpatialNonLocal(QueryKeyValueBlock):
    """Every cell gathers from every other: DANet's position attention module (PAM), unscaled dot products.

    Args:
        channels: input and output channels.
        reduced: channels of queries and keys; DANet's `channels // 8` by default.
    """

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


class TwoStepNonLocal(ContextBlock):
    """The two non-local blocks, one upon the other; a subclass says in which order."""

    def __init__(self, channels: int, reduced: int | None = None, negate: bool = True) -> None:
        super().__init__()
        self.channel, self.spatial = ChannelNonLocal(negate), SpatialNonLocal(channels, reduced)

    @property
    @abstractmethod
    def steps(self) -> tuple[ContextBlock, ContextBlock]:
        """The block that comes first, and the one upon it."""

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """The second block's features and context upon the first one's; its map, then the first one's."""
        first, second = self.steps
        before = first(x)
        beside = None if residual is None else first(x, residual).features
        after = second(before.features, beside)
        return Attended(after.features, after.context, join_maps(after, before))

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        for step in self.steps:
            step.switch_off()


class ChannelSpatialNonLocal(TwoStepNonLocal):
    """Channels first, then space; the other order does not converge (FLANet, footnote 1). Maps "spatial", "channel"."""

    @property
    def steps(self) -> tuple[ContextBlock, ContextBlock]:
        """Channels, then space."""
        return self.channel, self.spatial


class SpatialChannelNonLocal(TwoStepNonLocal):
    """Space first, then channels, whose training does not converge (FLANet, footnote 1). Maps "channel", "spatial"."""

    @property
    def steps(self) -> tuple[ContextBlock, ContextBlock]:
        """Space, then channels."""
        return self.spatial, self.channel


def join_maps(first: Attended, second: Attended) -> tuple[tuple[AttentionMap, ...], ...]:
    """The maps of two blocks, image by image."""
    return tuple(one + other for one, other in zip(first.maps, second.maps, strict=True))
