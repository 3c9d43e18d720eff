"""MODELS: one literal row a model; pages, command line, benchmarks and tests follow from this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from segviz.models import blocks
from segviz.models.backbone import Backbone
from segviz.models.blocks import ContextBlock
from segviz.models.segmenter import FusionReduction, Reduction, Segmenter


class PublishedCost(NamedTuple):
    """What FLANet's Table 3 says that a block costs at 96 x 96 x 512; it does not say how memory was measured."""

    gflops: float
    megabytes: float


@dataclass(frozen=True)
class ModelSpec:
    """One row: what a model is called, where it comes from, and how its block is made.

    Attributes:
        name: the name in commands, addresses and file names.
        title: the name for people.
        paper: where the block comes from.
        help: how the block attends, for the page's help: a clause with its equation, in Markdown and LaTeX.
        block: makes the block for a number of input channels.
        maps: names of the block's maps, in order; the reduction's last.
        channels: the block's input channels.
        widening: the block's output channels over its input channels.
        backbone: the feature extractor's name.
        output_stride: the deepest features' stride.
        fused: whether AttaNet's fusion joins the two deepest levels before the block.
        alone: makes the block that `bench blocks` measures, for (height, width, channels); None: as `block` does.
        published: its published cost, if there is one.
    """

    name: str
    title: str
    paper: str
    help: str
    block: Callable[[int], ContextBlock]
    maps: tuple[str, ...] = ()
    channels: int = 256
    widening: int = 1
    backbone: str = "mobilenetv2_100"
    output_stride: int = 8
    fused: bool = False
    alone: Callable[[int, int, int], ContextBlock] | None = None
    published: PublishedCost | None = None


DANET = "DANet, CVPR 2019"
EMANET = "EMANet, ICCV 2019"
CCNET = "CCNet, ICCV 2019"
FLANET = "FLANet, AAAI 2022"
ATTANET = "AttaNet, AAAI 2021"
SSANET = "SSANet, arXiv 2109.01915"
PSANET = "PSANet, ECCV 2018"
PSA_MASK = (45, 59)  # 2H-1 x 2W-1 of the 23 x 30 grid that a 360 x 480 image has at stride 8, shrunk by 2

SPATIAL = r"every place weighs all places by query and key, $A_{pj} = \mathrm{softmax}_j(q_p^\top k_j)$ (DANet, eq. 1)"
CHANNEL = (
    r"channels weigh channels, $A = \mathrm{softmax}(-X X^\top)$, alike in every place "
    "(DANet's released code; its eq. 3 has no minus)"
)


def point_wise(channels: int) -> ContextBlock:
    """PSA at MobileNetV2's size."""
    return blocks.PointWiseSpatialAttention(channels, 128, PSA_MASK)


def point_wise_alone(height: int, width: int, channels: int) -> ContextBlock:
    """PSA with an over-completed mask for the whole grid, shrunk by 2."""
    rows, columns = (height - 1) // 2 + 1, (width - 1) // 2 + 1
    return blocks.PointWiseSpatialAttention(channels, channels, (2 * rows - 1, 2 * columns - 1))


MODEL_ROWS = (
    ModelSpec(
        "fcn", "FCN (no context)", "FCN, CVPR 2015",
        "no attention: every place is classified from its own features.",
        lambda _: blocks.NoContext(),
    ),
    ModelSpec(
        "channel_nl", "Channel non-local", DANET,
        f"{CHANNEL}. So a point has no map of its own.",
        lambda _: blocks.ChannelNonLocal(), ("channel",), published=PublishedCost(9.66, 40),
    ),
    ModelSpec(
        "spatial_nl", "Spatial non-local", DANET,
        f"{SPATIAL}.",
        blocks.SpatialNonLocal, ("spatial",), published=PublishedCost(103.90, 1320),
    ),
    ModelSpec(
        "dual_nl", "Dual non-local", DANET,
        f"two branches, added. In one {SPATIAL}; in the other {CHANNEL}.",
        blocks.DualNonLocal, ("spatial", "channel"), published=PublishedCost(113.56, 1378),
    ),
    ModelSpec(
        "cs_nl", "Channel-spatial non-local", FLANET,
        f"two steps. First {CHANNEL}; then {SPATIAL}.",
        blocks.ChannelSpatialNonLocal, ("spatial", "channel"), published=PublishedCost(113.56, 1378),
    ),
    ModelSpec(
        "ema", "Expectation-maximization attention", EMANET,
        r"places attend to one another through 64 bases that are fitted to the picture, "
        r"$A_{pj} = \sum_k z_{pk} z_{jk} / \sum_n z_{nk}$ (EMANet, eq. 12-13).",
        blocks.ExpectationMaximization, ("bases",), published=PublishedCost(13.91, 98),
    ),
    ModelSpec(
        "rcca", "Recurrent criss-cross attention", CCNET,
        "every place weighs the places of its own row and column, and does so twice; after the second pass it has "
        "reached all of them (CCNet, eq. 1-3).",
        blocks.RecurrentCrissCross, ("cross",), published=PublishedCost(16.18, 174),
    ),
    ModelSpec(
        "fla", "Fully attentional block", FLANET,
        r"channels weigh channels, but in every row and column anew, "
        r"$A = \mathrm{softmax}_i(\sum_s x_{js} q_{is})$ (FLANet, eq. 1-2). "
        "One 3 x 3 convolution leads to it here; the paper has two.",
        blocks.FullyAttentional, ("rows", "columns"), published=PublishedCost(19.37, 436),
    ),
    ModelSpec(
        "sam", "Strip attention", ATTANET,
        r"every place weighs whole columns by their mean keys, $A_{pj} = \mathrm{softmax}_j(q_p^\top \bar k_j)$ "
        "(AttaNet, the affinity of SAM).",
        blocks.StripAttentionModule, ("strip", "gate"), channels=128, output_stride=32, fused=True,
    ),
    ModelSpec(
        "snl", "Sparse non-local", SSANET,
        r"every place reads 81 points $t_k = p + b_k + \Delta_k(p)$, a window moved by learned offsets, with "
        r"$S_{pk} = \mathrm{softmax}_k(\theta_p^\top \phi(t_k))$ (SSANet, eq. 4-7).",
        blocks.SparseNonLocalWithPooling, ("samples",), widening=2,
        alone=lambda height, width, channels: blocks.SparseNonLocal(channels),
    ),
    ModelSpec(
        "psa", "Point-wise spatial attention", PSANET,
        "two masks for every place: what it collects from the others, and what it distributes to them "
        "(PSANet, eq. 8-9, with the softmax of the released networks in place of 1/N).",
        point_wise, ("collect", "distribute"), widening=2, alone=point_wise_alone,
    ),
)  # fmt: skip

SPECS: Mapping[str, ModelSpec] = MappingProxyType({row.name: row for row in MODEL_ROWS})


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
        classes: the number of classes.
        backbone: a backbone in place of the row's.
        output_stride: an output stride in place of the row's.

    Raises:
        KeyError: there is no such model.
        ValueError: see `Backbone`.
    """
    spec = spec_of(name)
    body = Backbone(backbone or spec.backbone, output_stride or spec.output_stride)
    reduction = (FusionReduction if spec.fused else Reduction)(body, spec.channels)
    return Segmenter(body, reduction, spec.block(spec.channels), spec.channels * spec.widening, classes)
