"""CCNet, DANet and EMANet as their authors store them."""

from __future__ import annotations

from torch import Tensor

from segviz.models.blocks import DualBranches, ExpectationMaximization, RecurrentCrissCross
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.heads import ConvReduction, StackedClassifier, leaky
from segviz.models.networks.layout import Choices, NetworkPlan, PictureInput, WeightsLayout
from segviz.models.networks.mmsegmentation import first_row
from segviz.models.networks.resnet_body import ResNetBody
from segviz.models.networks.stored_tensors import (
    NamePair,
    StoredTensors,
    pair_conv_module,
    pair_sequential,
    pair_stages,
)

CCNET_LAYERS = ("layer1", "layer2", "layer3", "layer4")
CAFFE_MEAN = (122.67891434 / 255, 116.66876762 / 255, 104.00698793 / 255)  # the code's, of pictures in 0..255
NORM_EPSILON = 1e-5
CCNET_NAMES = {"conva": ("conva", "cca", "convb"), "conv1a": ("conv1a", "pc", "conv1b")}  # newer and older


def read_ccnet(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """CCNet. Its norms are in-place activated: they take the size of their weight, and a leaky ReLU follows the head's.

    The pooling after the stem rounds sizes up.
    """
    before, attention, after = CCNET_NAMES["conva" if "head.conva.0.weight" in stored.tensors else "conv1a"]
    design = stored.read_resnet(CCNET_LAYERS, ("conv1", "conv2", "conv3"), third=(2,), fourth=(4,), round_up=True)
    width, deep = stored.shape(f"head.{before}.0.weight")[:2]
    reduced, classes = stored.width(f"head.{attention}.query_conv.weight"), stored.width("head.bottleneck.3.weight")
    passes = choices.decide("passes", 2, "any number of passes shares the tensors; the released networks have 1 and 2")
    crop = choices.decide("crop", (769, 769), "the crops of training; the authors also show whole pictures")

    def make() -> ContextNetwork:
        block = RecurrentCrissCross(width, reduced, passes)
        reduction, classifier = ConvReduction(deep, width), StackedClassifier(width, classes, width, beside=deep)
        return ContextNetwork(ResNetBody(design), leaky(reduction), block, leaky(classifier), align_corners=True)

    pairs = (
        ("conv1", "body.conv1.0"),
        ("bn1", "body.conv1.1"),
        ("conv2", "body.conv1.3"),
        ("bn2", "body.conv1.4"),
        ("conv3", "body.conv1.6"),
        ("bn3", "body.bn1"),
        *pair_stages(CCNET_LAYERS),
        *pair_sequential(f"head.{before}", "reduction.layers.0"),
        *((f"head.{attention}.{one}_conv", f"block.{one}") for one in ("query", "key", "value")),
        (f"head.{attention}.gamma", "block.gamma"),
        *pair_sequential(f"head.{after}", "classifier.after"),
        *pair_sequential("head.bottleneck", "classifier.join"),
        ("head.bottleneck.3", "classifier.classifier"),
    )
    norms = find_norms(stored, pairs)
    return NetworkPlan(
        title=f"CCNet, {design.title}",
        classes=classes,
        make=make,
        pairs=pairs,
        expects=PictureInput(mean=CAFFE_MEAN, std=(1 / 255,) * 3, order="BGR", crop=(crop[0], crop[1])),
        align_corners=True,
        changes=dict.fromkeys(norms, positive),
        unused={"dsn": "the auxiliary head"},
    )


def find_norms(stored: StoredTensors, pairs: tuple[NamePair, ...]) -> list[str]:
    """The names in our network of all BatchNorms' weights."""
    weights = [name.removesuffix("running_mean") + "weight" for name in stored.tensors if name.endswith("running_mean")]
    norms = []
    for weight in weights:
        fitting = [pair for pair in pairs if weight.startswith(f"{pair[0]}.")]
        if fitting:
            foreign, own = max(fitting, key=lambda pair: len(pair[0]))
            norms.append(own + weight.removeprefix(foreign))
    return norms


def positive(weight: Tensor) -> Tensor:
    """What in-place activated BatchNorm multiplies by: `|w| + epsilon`."""
    return weight.abs() + NORM_EPSILON


def read_danet(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """DANet, on a ResNet with a stem of one convolution or of three."""
    layers = tuple(f"pretrained.layer{number}" for number in (1, 2, 3, 4))
    deep_stem = "pretrained.conv1.0.weight" in stored.tensors
    stem = tuple(f"pretrained.conv1.{number}" for number in (0, 3, 6)) if deep_stem else ("pretrained.conv1",)
    dilations = choices.decide("multi_grid", (4, 8, 16), "the authors' commands have --multi-dilation 4 8 16")
    design = stored.read_resnet(layers, stem, third=(1, 2), fourth=dilations)
    width, deep = stored.shape("head.conv5a.0.weight")[:2]
    reduced, classes = stored.width("head.sa.query_conv.weight"), stored.width("head.conv8.1.weight")
    crop = choices.decide("crop", (768, 768), "the authors' command for Cityscapes; 480 for the other data sets")

    def make() -> ContextNetwork:
        classifier = StackedClassifier(width, classes)
        block = DualBranches(deep, width, reduced)
        return ContextNetwork(ResNetBody(design), ConvReduction(deep), block, classifier, align_corners=True)

    pairs = (
        ("pretrained.conv1", "body.conv1"),
        ("pretrained.bn1", "body.bn1"),
        *pair_stages(layers),
        *pair_sequential("head.conv5a", "block.before_spatial"),
        *pair_sequential("head.conv5c", "block.before_channel"),
        *((f"head.sa.{one}_conv", f"block.spatial.{one}") for one in ("query", "key", "value")),
        ("head.sa.gamma", "block.spatial.gamma"),
        ("head.sc.gamma", "block.channel.gamma"),
        *pair_sequential("head.conv51", "block.after_spatial"),
        *pair_sequential("head.conv52", "block.after_channel"),
        ("head.conv8.1", "classifier.classifier"),
    )
    what = "the classifier of one branch, which only training uses,"
    return NetworkPlan(
        title=f"DANet, {design.title}",
        classes=classes,
        make=make,
        pairs=pairs,
        expects=PictureInput(crop=(crop[0], crop[1])),
        align_corners=True,
        unused={
            "head.conv6": what,
            "head.conv7": what,
            "auxlayer": "the auxiliary head",
            "pretrained.fc": "the classifier of ImageNet",
        },
    )


def read_emanet(stored: StoredTensors, choices: Choices) -> NetworkPlan:
    """EMANet, whose body's modules are numbered."""
    layers = tuple(f"extractor.{number}" for number in (4, 5, 6, 7))
    stem = tuple(f"extractor.0.{number}" for number in (0, 3, 6))
    dilations = choices.decide("multi_grid", (2, 8, 16), "the authors' settings for features of stride 8")
    design = stored.read_resnet(layers, stem, third=(1, 2), fourth=dilations)
    _, channels, bases = stored.shape("emau.mu")
    deep, width = stored.shape("fc0.conv.weight")[1], stored.width("fc1.0.conv.weight")
    classes = stored.width("fc2.weight")
    steps = choices.decide("steps", 3, "the tensors do not depend on the number of steps; the settings have 3")
    mean = PictureInput().mean
    std = choices.decide("std", tuple(mean), "the authors' dataset.py divides by the mean, not by a std")

    def make() -> ContextNetwork:
        block = ExpectationMaximization(channels, bases, steps)
        classifier = StackedClassifier(channels, classes, width)
        return ContextNetwork(ResNetBody(design), ConvReduction(deep, channels), block, classifier, align_corners=True)

    pairs = (
        ("extractor.0", "body.conv1"),
        ("extractor.1", "body.bn1"),
        *pair_stages(layers),
        *pair_conv_module("fc0", "reduction.layers.0"),
        ("emau.mu", "block.initial_bases"),
        ("emau.conv1", "block.before"),
        *pair_sequential("emau.conv2", "block.after"),
        *pair_conv_module("fc1.0", "classifier.after"),
        ("fc2", "classifier.classifier"),
    )
    return NetworkPlan(
        title=f"EMANet, {design.title}",
        classes=classes,
        make=make,
        pairs=pairs,
        expects=PictureInput(std=(std[0], std[1], std[2])),
        align_corners=True,
        changes={"block.initial_bases": first_row},
    )


AUTHORS: tuple[WeightsLayout, ...] = (
    WeightsLayout(
        "ccnet",
        "CCNet",
        "speedinghzl/CCNet",
        ("layer1.0.conv1.weight", "head.cca.query_conv.weight", "head.conva.0.weight", "head.bottleneck.3.weight"),
        read_ccnet,
    ),
    WeightsLayout(
        "ccnet-2018",
        "CCNet",
        "speedinghzl/CCNet",
        ("layer1.0.conv1.weight", "head.pc.query_conv.weight", "head.conv1a.0.weight", "head.bottleneck.3.weight"),
        read_ccnet,
    ),
    WeightsLayout(
        "danet",
        "DANet",
        "junfu1115/DANet",
        ("pretrained.layer1.0.conv1.weight", "head.sa.query_conv.weight", "head.sc.gamma", "head.conv8.1.weight"),
        read_danet,
    ),
    WeightsLayout(
        "emanet",
        "EMANet",
        "XiaLiPKU/EMANet",
        ("extractor.4.0.conv1.weight", "emau.mu", "fc0.conv.weight", "fc2.weight"),
        read_emanet,
    ),
)
