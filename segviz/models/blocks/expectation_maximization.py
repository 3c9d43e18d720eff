"""The expectation-maximization attention unit (EMANet, ICCV 2019, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, AttentionMap, BasesAttention
from segviz.models.blocks.context_block import ContextBlock, zero
from segviz.models.blocks.precision import full_precision

EPSILON = 1e-6


class ExpectationMaximization(ContextBlock):
    """Features rebuilt from K bases that a few EM steps fit to the image (eq. 10-14).

    As in the released code the EM steps run without gradients, so `before` is never trained, and the block
    ends in a ReLU: it is never an identity. Beside a residual they run with gradients, because influence asks what
    the block computes, not what it trains. The initial bases are a buffer that only `update` moves.

    Args:
        channels: input and output channels.
        bases: K.
        steps: EM steps.
        momentum: the share of the old initial bases that `update` keeps.
        epsilon: added to the sums and lengths by which responsibilities and bases are divided.
    """

    initial_bases: Tensor

    def __init__(
        self, channels: int, bases: int = 64, steps: int = 3, momentum: float = 0.9, epsilon: float = EPSILON
    ) -> None:
        super().__init__()
        self.steps, self.momentum, self.epsilon = steps, momentum, epsilon
        start = nn.init.normal_(torch.empty(channels, bases), std=math.sqrt(2 / bases))
        self.register_buffer("initial_bases", F.normalize(start, dim=0))
        self.before = nn.Conv2d(channels, channels, 1)
        self.after = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `relu(after(relu(mu z)) + x)`; the map "bases" keeps z and the fitted bases mu."""
        projected = self.before(x)
        slopes = residual is not None and torch.is_grad_enabled()
        with full_precision(projected) as exact, torch.set_grad_enabled(slopes):
            cells = exact.flatten(2)
            bases = self.initial_bases.to(cells.dtype).expand(len(x), -1, -1)
            for _ in range(self.steps):
                responsibilities = (cells.mT @ bases).softmax(2)
                shares = responsibilities / (self.epsilon + responsibilities.sum(1, keepdim=True))
                bases = cells @ shares
                bases = bases / (self.epsilon + bases.norm(dim=1, keepdim=True))
            context = (bases @ responsibilities.mT).unflatten(2, x.shape[2:]).relu().to(x.dtype)
        grid = (x.shape[2], x.shape[3])
        maps = tuple(
            (BasesAttention("bases", grid, weights, base.T),)
            for weights, base in zip(responsibilities, bases, strict=True)
        )
        beside = x if residual is None else residual
        return Attended((self.after(context) + beside).relu(), context, maps)

    @torch.no_grad()
    def update(self, maps: Sequence[Sequence[AttentionMap]]) -> None:
        """Move the initial bases towards a training batch's fitted ones (section 4.3); not renormalised."""
        fitted = torch.stack([one.bases.T for image in maps for one in image if isinstance(one, BasesAttention)])
        self.initial_bases.mul_(self.momentum).add_(fitted.mean(0), alpha=1 - self.momentum)

    def switch_off(self) -> None:
        """Afterwards the block returns `relu(x)`, which is x after the reduction's ReLU."""
        zero(self.after[1].parameters())
