"""The attention fusion module (AttaNet, AAAI 2021, section Attention Fusion Module)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, Gate
from segviz.models.blocks.layers import conv_bn_relu


class AttentionFusion(nn.Module):
    """A gate per channel weighs the coarse level against the fine one: `up(coarse alpha) + fine (1 - alpha)`.

    As in the released code: nearest upsampling, sigmoid after BatchNorm, alpha constant over space.

    Args:
        fine: channels of the finer level (stride 16).
        coarse: channels of the coarser level (stride 32).
        channels: output channels.
    """

    def __init__(self, fine: int, coarse: int, channels: int = 128) -> None:
        super().__init__()
        self.fine, self.coarse = conv_bn_relu(fine, channels, 3), conv_bn_relu(coarse, channels, 3)
        self.joined = conv_bn_relu(channels + coarse, channels)
        self.gate = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(
        self,
        fine: Float[Tensor, "batch fine height width"],
        coarse: Float[Tensor, "batch coarse coarse_height coarse_width"],
    ) -> Attended:
        """The fused features; the map "gate" keeps alpha.

        Raises:
            ValueError: one image alone in training mode, where BatchNorm has one value for each channel of the gate.
        """
        size = fine.shape[2:]
        near = self.fine(fine)
        joined = self.joined(torch.cat((near, F.interpolate(coarse, size)), 1))
        alpha = self.gate(joined.mean((2, 3), keepdim=True)).sigmoid()
        far = F.interpolate(self.coarse(coarse) * alpha, size)
        maps = tuple((Gate("gate", gate.flatten()),) for gate in alpha)
        return Attended(far + near * (1 - alpha), far, maps)


class AddedFusion(nn.Module):
    """The coarse level added to the fine one, "Addition" in AttaNet's Table 3: `up(coarse) + fine`.

    Args:
        fine: channels of the finer level.
        coarse: channels of the coarser level.
        channels: output channels.
    """

    def __init__(self, fine: int, coarse: int, channels: int = 128) -> None:
        super().__init__()
        self.fine, self.coarse = conv_bn_relu(fine, channels, 3), conv_bn_relu(coarse, channels, 3)

    def forward(
        self,
        fine: Float[Tensor, "batch fine height width"],
        coarse: Float[Tensor, "batch coarse coarse_height coarse_width"],
    ) -> Attended:
        """The sum, after a 3x3 convolution of each level; no maps."""
        far = F.interpolate(self.coarse(coarse), fine.shape[2:])
        return Attended(far + self.fine(fine), far, ((),) * len(fine))


class JoinedFusion(nn.Module):
    """Both levels side by side, "Concat" in AttaNet's Table 3: a 1x1 convolution of `cat(fine, up(coarse))`.

    The table's 0.336 GFLOPs are those of this convolution with 128 + 512 input channels, so the coarse level comes as
    the body gives it, as in AFM.

    Args:
        fine: channels of the finer level.
        coarse: channels of the coarser level.
        channels: output channels.
    """

    def __init__(self, fine: int, coarse: int, channels: int = 128) -> None:
        super().__init__()
        self.fine, self.joined = conv_bn_relu(fine, channels, 3), conv_bn_relu(channels + coarse, channels)

    def forward(
        self,
        fine: Float[Tensor, "batch fine height width"],
        coarse: Float[Tensor, "batch coarse coarse_height coarse_width"],
    ) -> Attended:
        """The joined features, which are also the context; no maps."""
        joined = self.joined(torch.cat((self.fine(fine), F.interpolate(coarse, fine.shape[2:])), 1))
        return Attended(joined, joined, ((),) * len(fine))
