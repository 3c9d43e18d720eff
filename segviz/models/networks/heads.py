"""What stands between body and block, and between block and logits, in the papers' networks."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended
from segviz.models.backbone import Pyramid
from segviz.models.blocks import PyramidAttention
from segviz.models.blocks.layers import conv_bn_relu

DROPOUT = 0.1  # in all of these networks
LEAK = 0.01  # slope of in-place ABN's leaky ReLU below 0


class ConvReduction(nn.Module):
    """3x3 convolutions from the body's deepest features to the block's input; none leaves them as they are.

    Args:
        channels: of the deepest features.
        widths: output channels of each convolution, in order.
    """

    def __init__(self, channels: int, *widths: int) -> None:
        super().__init__()
        sides = pairwise((channels, *widths))
        self.layers = nn.Sequential(*(conv_bn_relu(inputs, outputs, 3) for inputs, outputs in sides))
        self.channels = widths[-1] if widths else channels

    def forward(self, pyramid: Pyramid) -> Attended:
        """The block's input; no maps."""
        features = self.layers(pyramid.deep)
        return Attended(features, features, ((),) * len(features))


class RegionReduction(nn.Module):
    """The deepest features by a 3x3 convolution, and beside them logits of a classifier of the features before.

    They are the input of `ObjectContext`.

    Args:
        middle: channels of the features one stage before the deepest.
        deep: channels of the deepest features.
        width: channels of the reduced features.
        convolution: output channels of the first classifier's convolution, and the side of its kernel.
        regions: how many logits there are.
    """

    def __init__(self, middle: int, deep: int, width: int, convolution: tuple[int, int], regions: int) -> None:
        super().__init__()
        inner, kernel = convolution
        self.layer, self.before = conv_bn_relu(deep, width, 3), conv_bn_relu(middle, inner, kernel)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(inner, regions, 1)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The features and the logits, joined; no maps."""
        features = self.layer(pyramid.deep)
        logits = self.classifier(self.dropout(self.before(pyramid.middle)))
        return Attended(torch.cat((features, logits), 1), features, ((),) * len(features))


class AsymmetricFusion(nn.Module):
    """The deepest features gather from those one stage before (AFNB of Zhu et al., ICCV 2019), then a 3x3 convolution.

    Args:
        middle: channels of the features one stage before the deepest.
        deep: channels of the deepest features.
        width: output channels.
        reduced: channels of queries, keys and values.
        levels: bins along each side, for each level of the pyramid.
    """

    def __init__(self, middle: int, deep: int, width: int, reduced: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.attend = PyramidAttention("fusion", deep, middle, reduced, levels, shared=False)
        self.join = nn.Sequential(nn.Conv2d(2 * deep, deep, 1, bias=False), nn.BatchNorm2d(deep))
        self.dropout = nn.Dropout2d(DROPOUT)
        self.layer = conv_bn_relu(deep, width, 3)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The block's input; the map "fusion"."""
        context, maps = self.attend(pyramid.deep, pyramid.middle)
        joined = self.join(torch.cat((context, pyramid.deep), 1))
        return Attended(self.layer(self.dropout(joined)), context, maps)


class StackedClassifier(nn.Module):
    """Convolutions from the block's output to logits, on the block's grid.

    Args:
        channels: of the block's output.
        classes: the number of classes.
        width: channels of a 3x3 convolution after the block; None: there is none.
        beside: channels of the body's deepest features, where they are joined with the result by another 3x3; else 0.
        scale: how many times as large the joined features are made before that convolution; FLANet's code has 2.
    """

    def __init__(self, channels: int, classes: int, width: int | None = None, beside: int = 0, scale: int = 1) -> None:
        super().__init__()
        self.beside, self.scale = beside, scale
        self.after = nn.Identity() if width is None else conv_bn_relu(channels, width, 3)
        width = width or channels
        self.join = conv_bn_relu(width + beside, width, 3) if beside else nn.Identity()
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(
        self, features: Float[Tensor, "batch channels height width"], pyramid: Pyramid
    ) -> Float[Tensor, "batch classes rows columns"]:
        """Logits."""
        return self.classifier(self.dropout(self.decode_features(features, pyramid)))  # type: ignore[no-any-return]

    def decode_features(self, features: Tensor, pyramid: Pyramid) -> Tensor:
        """The features that the last convolution classifies."""
        mixed = self.after(features)
        if self.beside:
            mixed = torch.cat((pyramid.deep, mixed), 1)
        if self.scale > 1:
            mixed = F.interpolate(mixed, scale_factor=self.scale)
        return self.join(mixed)  # type: ignore[no-any-return]


def leaky(head: nn.Module) -> nn.Module:
    """The head with leaky ReLUs in place of all its ReLUs, as after in-place activated BatchNorm."""
    for parent in list(head.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.ReLU):
                setattr(parent, name, nn.LeakyReLU(LEAK, inplace=True))
    return head
