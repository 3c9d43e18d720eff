"""The one skeleton of all models: backbone, reduction, context block, decoder, classifier.

It is SSANet's (arXiv 2109.01915, section 4) at MobileNetV2's size, so that the block is the only difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention import Attended
from segviz.models.backbone import Backbone, Pyramid
from segviz.models.blocks.fusion import AttentionFusion
from segviz.models.blocks.layers import conv_bn_relu

FINEST_WIDTH, FINE_WIDTH = 16, 32
DECODER_WIDTH, CLASSIFIER_WIDTH = 64, 24  # a wider decoder would cost more than the backbone


@dataclass(frozen=True)
class Segmentation:
    """What a model returns: logits of the image's size, and what its block attended to."""

    logits: Float[Tensor, "batch classes height width"]
    attended: Attended
    middle: Float[Tensor, "batch middle middle_height middle_width"]


class Reduction(nn.Module):
    """A 3x3 convolution from the backbone's width to the block's."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.layer = conv_bn_relu(backbone.deep_channels, channels, 3)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The reduced deep features; no maps."""
        features = self.layer(pyramid.deep)
        return Attended(features, features, ((),) * len(features))


class FusionReduction(nn.Module):
    """AttaNet's way to the block: the two deepest levels joined by AFM, then a 3x3 convolution."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.fusion = AttentionFusion(backbone.middle_channels, backbone.deep_channels, channels)
        self.layer = conv_bn_relu(channels, channels, 3)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The fused features, and the gate as a map."""
        fused = self.fusion(pyramid.middle, pyramid.deep)
        return Attended(self.layer(fused.features), fused.context, fused.maps)


class Decoder(nn.Module):
    """The context joined by the backbone's features of stride 4, then of stride 2, a 3x3 convolution after each.

    The second convolution works at stride 2, because poles are two or three pixels wide in a 480 x 360 picture:
    even perfect labels, averaged at stride 4 and grown again, keep 58 % of CamVid's poles, at stride 2 it is 85 %.
    """

    def __init__(self, channels: int, fine: int, finest: int) -> None:
        super().__init__()
        self.context = conv_bn_relu(channels, DECODER_WIDTH)
        self.fine = conv_bn_relu(fine, FINE_WIDTH)
        self.mix = conv_bn_relu(DECODER_WIDTH + FINE_WIDTH, DECODER_WIDTH, 3)
        self.narrow = conv_bn_relu(DECODER_WIDTH, CLASSIFIER_WIDTH)
        self.finest = conv_bn_relu(finest, FINEST_WIDTH)
        self.refine = conv_bn_relu(CLASSIFIER_WIDTH + FINEST_WIDTH, CLASSIFIER_WIDTH, 3)

    def forward(self, context: Tensor, pyramid: Pyramid) -> Tensor:
        """Features of stride 2."""
        context = F.interpolate(self.context(context), pyramid.fine.shape[2:], mode="bilinear")
        mixed = self.mix(torch.cat((context, self.fine(pyramid.fine)), 1))
        mixed = F.interpolate(self.narrow(mixed), pyramid.finest.shape[2:], mode="bilinear")
        return self.refine(torch.cat((mixed, self.finest(pyramid.finest)), 1))  # type: ignore[no-any-return]


class Segmenter(nn.Module):
    """A semantic segmentation network around one context block.

    Args:
        backbone: the feature extractor.
        reduction: from the backbone's pyramid to the block's input.
        block: the context block; returns `Attended`.
        width: channels that the block returns.
        classes: how many classes there are.
    """

    def __init__(self, backbone: Backbone, reduction: nn.Module, block: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.backbone, self.reduction, self.block = backbone, reduction, block
        self.decoder = Decoder(width, backbone.fine_channels, backbone.finest_channels)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(CLASSIFIER_WIDTH, classes, 1)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Segmentation:
        """Logits and attention of images scaled to [-1, 1]; any size from 32 x 32."""
        pyramid = self.backbone(image)
        reduced = self.reduction(pyramid)
        attended = self.block(reduced.features)
        decoded = self.decoder(attended.features, pyramid)
        logits = F.interpolate(self.classifier(self.dropout(decoded)), image.shape[2:], mode="bilinear")
        maps = tuple(own + earlier for own, earlier in zip(attended.maps, reduced.maps, strict=True))
        return Segmentation(logits, Attended(attended.features, attended.context, maps), pyramid.middle)
