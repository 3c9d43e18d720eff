"""AttaNet as its authors store it (AAAI 2021): ResNet at strides 16 and 32, AFM, SAM at stride 16."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

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


class EighthClassifier(nn.Module):
    """The block's output at stride 8 by repeating cells, two 3x3 convolutions, and a classifier without bias.

    Args:
        channels: of the block's output.
        width: of the second convolution.
        classes: the number of classes.
    """

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.refine, self.mix = conv_bn_relu(channels, channels, 3), conv_bn_relu(channels, width, 3)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(width, classes, 1, bias=False)

    def forward(
        self, features: Float[Tensor, "batch channels height width"], pyramid: Pyramid
    ) -> Float[Tensor, "batch classes rows columns"]:
        """Logits at stride 8."""
        grown = F.interpolate(features, pyramid.eighth.shape[2:])
        return self.classifier(self.dropout(self.mix(self.refine(grown))))  # type: ignore[no-any-return]


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
        *pair_conv_module("head.sam.conv1", "block.key"),
        *pair_conv_module("head.sam.conv2", "block.query"),
        *pair_conv_module("head.sam.conv3", "block.value"),
        *pair_conv_module("head.conv_head2", "classifier.refine"),
        *pair_conv_module("conv_out.conv", "classifier.mix"),
        ("conv_out.conv_out", "classifier.classifier"),
    )
    return NetworkPlan(
        title=f"AttaNet, {design.title}",
        classes=classes,
        make=make,
        pairs=pairs,
        picture=PictureInput(),
        align_corners=True,
        unused={
            "conv_out1": "an auxiliary head",
            "conv_out2": "an auxiliary head",
            "head.resnet.fc": "the classifier of ImageNet",
        },
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
