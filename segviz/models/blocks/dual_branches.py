"""DANet's head: position and channel attention in branches of their own (DANet, CVPR 2019, figure 2)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import Attended
from segviz.models.blocks.context_block import ContextBlock
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.blocks.non_local import ChannelNonLocal, SpatialNonLocal, join_maps


class DualBranches(ContextBlock):
    """A 3x3 convolution, attention and another 3x3 convolution in each branch; the branches are added.

    Args:
        channels: input channels.
        inner: channels of the branches, and of the output.
        reduced: channels of queries and keys; DANet's `inner // 8` by default.
    """

    def __init__(self, channels: int, inner: int, reduced: int | None = None) -> None:
        super().__init__()
        self.before_spatial, self.before_channel = conv_bn_relu(channels, inner, 3), conv_bn_relu(channels, inner, 3)
        self.spatial, self.channel = SpatialNonLocal(inner, reduced), ChannelNonLocal()
        self.after_spatial, self.after_channel = conv_bn_relu(inner, inner, 3), conv_bn_relu(inner, inner, 3)

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """The branches' sum, and the sum of their contexts before gamma; maps "spatial" and "channel"."""
        beside = None if residual is None else self.before_spatial(residual)
        spatial = self.spatial(self.before_spatial(x), beside)
        beside = None if residual is None else self.before_channel(residual)
        channel = self.channel(self.before_channel(x), beside)
        features = self.after_spatial(spatial.features) + self.after_channel(channel.features)
        return Attended(features, spatial.context + channel.context, join_maps(spatial, channel))

    def switch_off(self) -> None:
        """Afterwards only the convolutions of both branches are left."""
        self.spatial.switch_off()
        self.channel.switch_off()
