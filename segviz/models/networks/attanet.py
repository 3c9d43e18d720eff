"""AttaNet as its authors store it (AAAI 2021): on a ResNet, and on a light body of eight convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, Gate
from segviz.models.backbone import Pyramid
from segviz.models.blocks import StripAttentionModule
from segviz.models.blocks.layers import conv_bn_relu
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.heads import DROPOUT
from segviz.models.networks.layout import Choices, NetworkPlan, PictureInput, WeightsLayout
from segviz.models.networks.resnet_body import ResNetBody
from segviz.models.networks.stored_tensors import StoredTensors, pair_conv_module, pair_stages
from segviz.models.segmenter import FusionReduction

ATTANET_LAYERS = tuple(f"head.resnet.layer{number}" for number in (1, 2, 3, 4))
LIGHT_LAYERS = ("S1_1", "S1_2", "S2_1", "S2_2", "S2_3", "S3_1", "S3_2", "S3_3")
LIGHT_HALVINGS = (0, 1, 2, 5)  # the layers that halve the size
ATTANET_HEAD = (
    *pair_conv_module("head.sam.conv1", "block.key"),
    *pair_conv_module("head.sam.conv2", "block.query"),
    *pair_conv_module("head.sam.conv3", "block.value"),
    *pair_conv_module("head.conv_head2", "classifier.refine"),
    *pair_conv_module("conv_out.conv", "classifier.mix"),
    ("conv_out.conv_out", "classifier.classifier"),
)


class EighthClassifier(nn.Module):
    """The block's output at stride 8 by repeating cells, two 3x3 convolutions, and a classifier without bias.

    Args:
        channels: of the block's output.
        width: of the second convolution.
        classes: the number of classes.
        refined: channels of the first convolution; by default `channels`.
    """

    def __init__(self, channels: int, width: int, classes: int, refined: int | None = None) -> None:
        super().__init__()
        refined = refined or channels
        self.refine, self.mix = conv_bn_relu(channels, refined, 3), conv_bn_relu(refined, width, 3)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(width, classes, 1, bias=False)

    def forward(
        self, features: Float[Tensor, "batch channels height width"], pyramid: Pyramid
    ) -> Float[Tensor, "batch classes rows columns"]:
        """Logits at stride 8."""
        return self.classifier(self.dropout(self.decode_features(features, pyramid)))  # type: ignore[no-any-return]

    def decode_features(self, features: Tensor, pyramid: Pyramid) -> Tensor:
        """The features that the last convolution classifies."""
        grown = F.interpolate(features, pyramid.eighth.shape[2:])
        return self.mix(self.refine(grown))  # type: ignore[no-any-return]


class LightBody(nn.Module):
    """Eight convolutions with BatchNorm and ReLU, to strides 8 and 16, of the authors' AttaNet_light.

    Args:
        widths: output channels of each, in order.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 64, 64, 64, 128, 128, 128)) -> None:
        super().__init__()
        self.output_stride = 16
        self.finest_channels, self.fine_channels = widths[0], widths[1]
        self.eighth_channels = self.middle_channels = widths[4]
        self.deep_channels = widths[7]
        self.layers = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(pairwise((3, *widths))):
            layer = conv_bn_relu(inputs, outputs, 7 if number == 0 else 3)
            layer[0].stride = (2, 2) if number in LIGHT_HALVINGS else (1, 1)  # type: ignore[assignment]
            self.layers.append(layer)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Pyramid:
        """Features of strides 2, 4, 8 and 16; those of stride 8 are also those before the deepest."""
        features = [image]
        for layer in self.layers:
            features.append(layer(features[-1]))
        _, finest, fine, _, _, eighth, _, _, deep = features
        return Pyramid(finest, fine, eighth, eighth, deep)


class LightFusion(nn.Module):
    """AttaNet_light's way to the block: both levels pass two 3x3 convolutions, and AFM's gate looks in between.

    Args:
        fine: channels of stride 8.
        coarse: channels of stride 16.
        channels: output channels.
    """

    def __init__(self, fine: int, coarse: int, channels: int) -> None:
        super().__init__()
        self.fine, self.coarse = conv_bn_relu(fine, channels, 3), conv_bn_relu(coarse, channels, 3)
        self.joined = conv_bn_relu(2 * channels, channels, 3)
        self.gate = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.later_fine, self.later_coarse = conv_bn_relu(channels, channels, 3), conv_bn_relu(channels, channels, 3)
        self.layer = conv_bn_relu(channels, channels, 3)

    def forward(self, pyramid: Pyramid) -> Attended:
        """The fused features at stride 8; the map "gate" keeps alpha."""
        fine, coarse = self.fine(pyramid.eighth), self.coarse(pyramid.deep)
        size = fine.shape[2:]
        joined = self.joined(torch.cat((fine, F.interpolate(coarse, size)), 1))
        alpha = self.gate(joined.mean((2, 3), keepdim=True)).sigmoid()
        far = F.interpolate(self.later_coarse(coarse) * alpha, size)
        features = self.layer(far + self.later_fine(fine) * (1 - alpha))
        return Attended(features, far, tuple((Gate("gate", gate.flatten()),) for gate in alpha))


def read_attanet(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """AttaNet on a ResNet. What the authors' code calls q is the pooled key, and its k the full-size query."""
    design = stored.read_resnet(ATTANET_LAYERS, ("head.resnet.conv1",), stride=32, third=(1,), fourth=(1,))
    channels, reduced = stored.width("head.conv_head1.conv.weight"), stored.width("head.sam.conv1.conv.weight")
    width, classes = stored.width("conv_out.conv.conv.weight"), stored.width("conv_out.conv_out.weight")

    def make() -> ContextNetwork:
        body = ResNetBody(design)
        block = StripAttentionModule(channels, reduced)
        classifier = EighthClassifier(channels, width, classes)
        return ContextNetwork(body, FusionReduction(body, channels), block, classifier, align_corners=True)

    pairs = (
        ("head.resnet.conv1", "body.conv1"),
        ("head.resnet.bn1", "body.bn1"),
        *pair_stages(ATTANET_LAYERS),
        *pair_conv_module("head.conv_head16", "reduction.fusion.fine"),
        *pair_conv_module("head.conv_head32", "reduction.fusion.coarse"),
        *pair_conv_module("head.afm.conv", "reduction.fusion.joined"),
        ("head.afm.conv_atten", "reduction.fusion.gate.0"),
        ("head.afm.bn_atten", "reduction.fusion.gate.1"),
        *pair_conv_module("head.conv_head1", "reduction.layer"),
        *ATTANET_HEAD,
    )
    return NetworkPlan(
        title=f"AttaNet, {design.title}",
        classes=classes,
        make=make,
        pairs=pairs,
        expects=PictureInput(),
        align_corners=True,
        unused={
            "conv_out1": "an auxiliary head",
            "conv_out2": "an auxiliary head",
            "head.resnet.fc": "the classifier of ImageNet",
        },
    )


def read_light(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """AttaNet_light, whose SAM works at stride 8."""
    names = [f"head.backbone.branch.{name}" for name in LIGHT_LAYERS]
    widths = [stored.width(f"{name}.conv.weight") for name in names]
    channels, reduced = stored.width("head.conv_head1.conv.weight"), stored.width("head.sam.conv1.conv.weight")
    width, classes = stored.width("conv_out.conv.conv.weight"), stored.width("conv_out.conv_out.weight")

    def make() -> ContextNetwork:
        reduction = LightFusion(widths[4], widths[-1], channels)
        block, classifier = StripAttentionModule(channels, reduced), EighthClassifier(channels, width, classes)
        return ContextNetwork(LightBody(widths), reduction, block, classifier, align_corners=True)

    body = (pair for number, name in enumerate(names) for pair in pair_conv_module(name, f"body.layers.{number}"))
    pairs = (
        *body,
        *pair_conv_module("head.conv_head8", "reduction.fine"),
        *pair_conv_module("head.conv_head16", "reduction.coarse"),
        *pair_conv_module("head.afm.conv", "reduction.joined"),
        ("head.afm.conv_atten", "reduction.gate.0"),
        ("head.afm.bn_atten", "reduction.gate.1"),
        *pair_conv_module("head.conv_head81", "reduction.later_fine"),
        *pair_conv_module("head.conv_head161", "reduction.later_coarse"),
        *pair_conv_module("head.conv_head1", "reduction.layer"),
        *ATTANET_HEAD,
    )
    return NetworkPlan(
        title="AttaNet, light",
        classes=classes,
        make=make,
        pairs=pairs,
        expects=PictureInput(),
        align_corners=True,
        unused={"conv_out1": "an auxiliary head", "conv_out2": "an auxiliary head"},
    )


ATTANET_OF_AUTHORS = WeightsLayout(
    "attanet",
    "AttaNet",
    "songqi-github/AttaNet",
    (
        "head.resnet.conv1.weight",
        "head.sam.conv1.conv.weight",
        "head.afm.conv_atten.weight",
        "conv_out.conv_out.weight",
    ),
    read_attanet,
)

LIGHT_ATTANET = WeightsLayout(
    "attanet-light",
    "AttaNet_light",
    "songqi-github/AttaNet",
    (
        "head.backbone.branch.S1_1.conv.weight",
        "head.sam.conv1.conv.weight",
        "head.conv_head81.conv.weight",
        "conv_out.conv_out.weight",
    ),
    read_light,
)
