"""MODELS: one literal row a model; everything else follows from this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from segviz.models import blocks
from segviz.models.backbone import Backbone
from segviz.models.segmenter import FusionReduction, Reduction, Segmenter

BlockMaker = Callable[[int], nn.Module]


@dataclass(frozen=True)
class ModelSpec:
    """One row: what a model is called, where it comes from, and how its block is made.

    `widening` is how many times the block's input channels it returns.
    """

    name: str
    title: str
    paper: str
    block: BlockMaker
    maps: tuple[str, ...] = ()
    channels: int = 256
    widening: int = 1
    backbone: str = "mobilenetv2_100"
    output_stride: int = 8
    fused: bool = False


DANET = "DANet, CVPR 2019"
EMANET = "EMANet, ICCV 2019"
CCNET = "CCNet, ICCV 2019"
FLANET = "FLANet, AAAI 2022"
ATTANET = "AttaNet, AAAI 2021"
SSANET = "SSANet, arXiv 2109.01915"
PSANET = "PSANet, ECCV 2018"
PSA_MASK = (45, 59)  # 2H-1 x 2W-1 of the 23 x 30 grid that a 360 x 480 image has at stride 8, shrunk by 2


def point_wise(channels: int) -> nn.Module:
    """PSA at MobileNetV2's size."""
    return blocks.PointWiseSpatialAttention(channels, 128, PSA_MASK)


ROWS = (
    ModelSpec("fcn", "FCN (no context)", "FCN, CVPR 2015", lambda _: blocks.NoContext()),
    ModelSpec("channel_nl", "Channel non-local", DANET, lambda _: blocks.ChannelNonLocal(), ("channel",)),
    ModelSpec("spatial_nl", "Spatial non-local", DANET, blocks.SpatialNonLocal, ("spatial",)),
    ModelSpec("dual_nl", "Dual non-local", DANET, blocks.DualNonLocal, ("spatial", "channel")),
    ModelSpec("cs_nl", "Channel-spatial non-local", FLANET, blocks.ChannelSpatialNonLocal, ("spatial", "channel")),
    ModelSpec("ema", "Expectation-maximization attention", EMANET, blocks.ExpectationMaximization, ("bases",)),
    ModelSpec("rcca", "Recurrent criss-cross attention", CCNET, blocks.RecurrentCrissCross, ("cross",)),
    ModelSpec("fla", "Fully attentional block", FLANET, blocks.FullyAttentional, ("rows", "columns")),
    ModelSpec(
        "sam", "Strip attention", ATTANET, blocks.StripAttentionModule, ("strip", "gate"),
        channels=128, output_stride=32, fused=True,
    ),
    ModelSpec("snl", "Sparse non-local", SSANET, blocks.SparseNonLocalWithPooling, ("samples",), widening=2),
    ModelSpec("psa", "Point-wise spatial attention", PSANET, point_wise, ("collect", "distribute"), widening=2),
)  # fmt: skip

SPECS: Mapping[str, ModelSpec] = MappingProxyType({row.name: row for row in ROWS})


def spec_of(name: str) -> ModelSpec:
    """The row of a model.

    Raises:
        KeyError: there is no such model.
    """
    if name not in SPECS:
        raise KeyError(f"model '{name}' is unknown; the models are {', '.join(SPECS)}")
    return SPECS[name]


def build(name: str, classes: int, backbone: str | None = None, output_stride: int | None = None) -> Segmenter:
    """A model with random weights; any block on any backbone.

    Args:
        name: a row of MODELS.
        classes: how many classes the classifier tells apart.
        backbone: another backbone than the row's.
        output_stride: another output stride than the row's.
    """
    spec = spec_of(name)
    body = Backbone(backbone or spec.backbone, output_stride or spec.output_stride)
    reduction = (FusionReduction if spec.fused else Reduction)(body, spec.channels)
    return Segmenter(body, reduction, spec.block(spec.channels), spec.channels * spec.widening, classes)
