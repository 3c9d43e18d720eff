"""What stands around the block in each paper: the way from the body to it, and the way from it to the logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.models.backbone import Pyramid
from segviz.models.block_kinds import BLOCK_KINDS, BLOCK_OPTIONS, BlockSettings
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.input_statistics import HALF, OF_BACKBONE
from segviz.models.networks.attanet import EighthClassifier, LightFusion
from segviz.models.networks.bodies import STEM_OPTION
from segviz.models.networks.heads import DROPOUT, ConvReduction, StackedClassifier
from segviz.models.options import NetworkOption
from segviz.models.segmenter import FUSION_OPTION, FusionReduction

LOW_LEVEL, DECODED = 48, 256  # DeepLabV3+'s widths, which SSANet's "simple decoder" does not state
PSA_WIDTH = 512
MOST_MIXED = (
    128  # channels of AttaNet's last 3x3 convolution at most; the code has 128 on ResNet-18, 64 in the light one
)
# The blocks that read the body's 2,048 channels in PSANet's body; a 3x3 convolution narrows them for all others.
WHOLE_BLOCKS = ("none", "ppm", "gp", "nl", "psa")
INPUT_OF_BACKBONE = NetworkOption(
    "input", OF_BACKBONE, "normalisation of pictures: the ImageNet weights' own, or mean and std of 1/2",
    (OF_BACKBONE, HALF),
)  # fmt: skip


@dataclass(frozen=True)
class Skeleton:
    """What stands around the block in a paper's networks.

    Attributes:
        paper: the paper.
        block: the name of its own block.
        around: the options of what stands around the block.
        make: makes reduction and classifier for a body, the block's input channels, settings and classes.
        block_width: the block's input channels, of the body's deepest channels, the row's width and the settings.
        stemmed: whether its ResNets have the option `stem`.
        finer: how many times finer the block's grid is than the body's output stride.
        gated: whether it has a gate without an option that could replace it.
    """

    paper: str
    block: str
    around: tuple[NetworkOption, ...]
    make: Callable[[Any, int, BlockSettings, int], tuple[nn.Module, nn.Module]]
    block_width: Callable[[int, int, BlockSettings], int] = lambda deep, width, settings: width
    stemmed: bool = False
    finer: int = 1
    gated: bool = False

    @property
    def options(self) -> tuple[NetworkOption, ...]:
        """All options of its networks."""
        block = NetworkOption("block", self.block, "the context block", tuple(BLOCK_KINDS))
        stem = (STEM_OPTION,) if self.stemmed else ()
        return (block, *self.around, *BLOCK_OPTIONS, *stem, INPUT_OF_BACKBONE)


def output_width(channels: int, settings: BlockSettings) -> int:
    """The channels of a block's output."""
    return channels * (2 if BLOCK_KINDS[settings["block"]].doubles(settings) else 1)


def surround_fla(body: Any, channels: int, settings: BlockSettings, classes: int) -> tuple[nn.Module, nn.Module]:
    """FLANet: two 3x3 convolutions before the block; after it a prediction layer, or the head of the authors' code."""
    reduction, width = ConvReduction(body.deep_channels, channels, channels), output_width(channels, settings)
    if settings["head"] == "code":
        return reduction, StackedClassifier(width, classes, channels, beside=body.deep_channels, scale=2)
    return reduction, StackedClassifier(width, classes)


def surround_strips(body: Any, channels: int, settings: BlockSettings, classes: int) -> tuple[nn.Module, nn.Module]:
    """AttaNet: both deepest levels fused before the block, and stride 8 after it."""
    reduction = FusionReduction(body, channels, settings["fusion"])
    return reduction, EighthClassifier(output_width(channels, settings), min(channels, MOST_MIXED), classes, channels)


def surround_light_strips(
    body: Any, channels: int, settings: BlockSettings, classes: int
) -> tuple[nn.Module, nn.Module]:
    """AttaNet's light network, fused at stride 8."""
    reduction = LightFusion(body.eighth_channels, body.deep_channels, channels)
    return reduction, EighthClassifier(output_width(channels, settings), min(channels, MOST_MIXED), classes, channels)


def surround_samples(body: Any, channels: int, settings: BlockSettings, classes: int) -> tuple[nn.Module, nn.Module]:
    """SSANet: a 3x3 convolution before the block, a simple decoder after it."""
    width = output_width(channels, settings)
    decoder = LowLevelClassifier(width, body.fine_channels, classes) if settings["decoder"] else None
    return ConvReduction(body.deep_channels, channels), decoder or StackedClassifier(width, classes)


def surround_masks(body: Any, channels: int, settings: BlockSettings, classes: int) -> tuple[nn.Module, nn.Module]:
    """PSANet: the block on stage 5, then a 3x3 convolution."""
    narrow = () if channels == body.deep_channels else (channels,)
    reduction = ConvReduction(body.deep_channels, *narrow)
    return reduction, StackedClassifier(output_width(channels, settings), classes, PSA_WIDTH)


def whole_or_narrow(deep: int, width: int, settings: BlockSettings) -> int:
    """The input channels of a block in PSANet's body."""
    return deep if settings["block"] in WHOLE_BLOCKS else width


class LowLevelClassifier(nn.Module):
    """SSANet's decoder (section 3.3): stage 2's features beside the block's, two 3x3 convolutions, a 1x1 classifier.

    The paper gives no widths. These are DeepLabV3+'s: 48 channels of stage 2, and 256 in both convolutions.

    Args:
        channels: of the block's output.
        fine: channels of the body's features of stride 4.
        classes: the number of classes.
    """

    def __init__(self, channels: int, fine: int, classes: int) -> None:
        super().__init__()
        self.low_level = conv_bn_relu(fine, LOW_LEVEL)
        self.fuse = nn.Sequential(conv_bn_relu(channels + LOW_LEVEL, DECODED, 3), conv_bn_relu(DECODED, DECODED, 3))
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(DECODED, classes, 1)

    def forward(
        self, features: Float[Tensor, "batch channels height width"], pyramid: Pyramid
    ) -> Float[Tensor, "batch classes rows columns"]:
        """Logits at stride 4."""
        return self.classifier(self.dropout(self.decode_features(features, pyramid)))  # type: ignore[no-any-return]

    def decode_features(self, features: Tensor, pyramid: Pyramid) -> Tensor:
        """The features that the last convolution classifies."""
        grown = F.interpolate(features, pyramid.fine.shape[2:], mode="bilinear", align_corners=True)
        return self.fuse(torch.cat((grown, self.low_level(pyramid.fine)), 1))  # type: ignore[no-any-return]


HEAD_OPTION = NetworkOption(
    "head", "paper", "after the block: the prediction layer, or the 3x3 convolutions of the authors' code",
    ("paper", "code"),
)  # fmt: skip
DECODER_OPTION = NetworkOption("decoder", True, "the decoder that reads stage 2; false: a 1x1 classifier, resized")
FLA_SKELETON = Skeleton("FLANet, AAAI 2022", "fla", (HEAD_OPTION,), surround_fla, stemmed=True)
SAM_SKELETON = Skeleton("AttaNet, AAAI 2021", "sam", (FUSION_OPTION,), surround_strips, finer=2)
LIGHT_SKELETON = replace(SAM_SKELETON, around=(), make=surround_light_strips, gated=True)
SNL_SKELETON = Skeleton("SSANet, arXiv 2109.01915", "snl", (DECODER_OPTION,), surround_samples)
PSA_SKELETON = Skeleton("PSANet, ECCV 2018", "psa", (), surround_masks, whole_or_narrow, stemmed=True)
