"""FLANet as its authors store it (AAAI 2022): a dilated ResNet, two 3x3 convolutions, FLA, and the code's own head."""

from __future__ import annotations

from segviz.models.blocks import FullyAttentional
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.heads import ConvReduction, StackedClassifier
from segviz.models.networks.layout import Choices, NetworkPlan, PictureInput, WeightsLayout
from segviz.models.networks.resnet_body import ResNetBody
from segviz.models.networks.stored_tensors import StoredTensors, pair_sequential, pair_stages

FLANET_LAYERS = tuple(f"backbone.layer{number}" for number in (1, 2, 3, 4))
FLANET_STEM = ("backbone.conv1.0", "backbone.conv1.3", "backbone.conv1.6")


def read_flanet(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """FLANet. The authors' code pairs slices with the wrong picture of a batch; here each meets its own."""
    design = stored.read_resnet(FLANET_LAYERS, FLANET_STEM, third=(2,), fourth=(4,))
    width, deep = stored.width("fully.conv1.weight"), stored.shape("conv.0.weight")[1]
    classes = stored.width("conv_out1.conv.5.weight")
    side = choices.decide("crop", (768, 768), "the paper's crops for Cityscapes; 520 for ADE20K and PASCAL VOC")

    def make() -> ContextNetwork:
        classifier = StackedClassifier(width, classes, width, beside=deep, scale=2)
        reduction = ConvReduction(deep, width, width)
        return ContextNetwork(ResNetBody(design), reduction, FullyAttentional(width), classifier, align_corners=True)

    pairs = (
        ("backbone.conv1", "body.conv1"),
        ("backbone.bn1", "body.bn1"),
        *pair_stages(FLANET_LAYERS),
        *pair_sequential("conv", "reduction.layers.0"),
        ("conv.3", "reduction.layers.1.0"),
        ("conv.4", "reduction.layers.1.1"),
        ("fully.conv1", "block.pooled_rows"),
        ("fully.conv2", "block.pooled_columns"),
        ("fully.gamma", "block.gamma"),
        *pair_sequential("fully.conv", "classifier.after"),
        ("conv_out1.conv.1", "classifier.join.0"),
        ("conv_out1.conv.2", "classifier.join.1"),
        ("conv_out1.conv.5", "classifier.classifier"),
    )
    return NetworkPlan(
        title=f"FLANet, {design.title}",
        classes=classes,
        make=make,
        pairs=pairs,
        expects=PictureInput(crop=(side[0], side[1])),
        align_corners=True,
        unused={"conv_out2": "an auxiliary head", "conv_out3": "an auxiliary head"},
    )


FLANET_OF_AUTHORS = WeightsLayout(
    "flanet",
    "FLANet",
    "the authors of FLANet",
    ("backbone.conv1.0.weight", "fully.conv1.weight", "fully.gamma", "conv_out1.conv.1.weight"),
    read_flanet,
)
