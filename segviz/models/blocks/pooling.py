"""Contexts without attention, to compare with: pyramid pooling, atrous pyramid pooling, global pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.blocks.context_block import ContextBlock, silence
from segviz.models.blocks.layers import conv_bn_relu


class PyramidPooling(ContextBlock):
    """Means over coarse bins, beside the input (PSPNet, CVPR 2017, section 3.2); twice the channels.

    Two things differ from PSPNet's code. The bins are enlarged with half-pixel centres (`align_corners=False`), which
    is where the pooling has its bins; the code aligns the corners. And the levels have biases and no BatchNorm.
    """

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.bins = tuple(bins)
        # No BatchNorm: one bin over a batch of one image would leave it a single value to norm.
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels // len(self.bins), 1), nn.ReLU(inplace=True)) for _ in self.bins
        )

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """`cat[x, up(conv(pool_b(x))) for every b]`; no maps."""
        size = x.shape[2:]
        levels = [level(F.adaptive_avg_pool2d(x, bins)) for level, bins in zip(self.levels, self.bins, strict=True)]
        context = torch.cat([F.interpolate(level, size, mode="bilinear") for level in levels], 1)
        beside = x if residual is None else residual
        return Attended(torch.cat((beside, context), 1), context, ((),) * len(x))

    def switch_off(self) -> None:
        """Afterwards the block returns its input beside zeros."""
        for level in self.levels:
            silence(level)


class AtrousPyramid(ContextBlock):
    """Parallel dilated convolutions and the image mean (DeepLabV3, arXiv 1706.05587, section 3.3)."""

    def __init__(self, channels: int, rates: Sequence[int] = (12, 24, 36)) -> None:
        super().__init__()
        self.plain = conv_bn_relu(channels, channels)
        self.dilated = nn.ModuleList(conv_bn_relu(channels, channels, 3, rate) for rate in rates)
        self.pooled = GlobalPooling(channels)
        self.project = conv_bn_relu(channels * (len(self.dilated) + 2), channels)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features projected from all branches, as many channels as the input; no maps."""
        beside = x if residual is None else residual
        branches = [self.plain(beside), *(layer(x) for layer in self.dilated), self.pooled(x).context]
        context = self.project(torch.cat(branches, 1))
        return Attended(context, context, ((),) * len(x))

    def switch_off(self) -> None:
        """Afterwards only the 1 x 1 convolution is left."""
        for layer in self.dilated:
            silence(layer)
        self.pooled.switch_off()


class GlobalPooling(ContextBlock):
    """The image mean beside the input (ParseNet, arXiv 1506.04579); twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """`cat[x, conv(mean x)]`; no maps."""
        context = self.pooled(x.mean((2, 3), keepdim=True)).expand_as(x)
        beside = x if residual is None else residual
        return Attended(torch.cat((beside, context), 1), context, ((),) * len(x))

    def switch_off(self) -> None:
        """Afterwards the block returns its input beside zeros."""
        silence(self.pooled)


class NoContext(ContextBlock):
    """The baseline: features pass unchanged."""

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """The input itself as features and context; no maps."""
        return Attended(x if residual is None else residual, x, ((),) * len(x))

    def switch_off(self) -> None:
        """There is no context."""
