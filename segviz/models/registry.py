"""MODELS: one literal row a model; pages, command line, benchmarks and tests follow from this table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from segviz.models import blocks
from segviz.models.backbone import Backbone
from segviz.models.block_kinds import BLOCK_KINDS, complete_settings, options_of_block
from segviz.models.blocks import ContextBlock
from segviz.models.input_statistics import INPUT_OPTION, choose_input
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import NetworkOption, OptionValue, read_pairs, resolve_options
from segviz.models.segmenter import FUSION_OPTION, BlockNetwork, FusionReduction, Reduction, Segmenter


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
        maps: names of the block's maps, in order; the reduction's last.
        kind: the kind of its block (`BLOCK_KINDS`), the row's name by default.
        defaults: defaults of the block's options that differ from the kind's own.
        channels: the block's input channels.
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
    maps: tuple[str, ...] = ()
    kind: str = ""
    defaults: Mapping[str, OptionValue] = field(default_factory=dict)
    channels: int = 256
    backbone: str = "mobilenetv2_100"
    output_stride: int = 8
    fused: bool = False
    alone: Callable[[int, int, int], ContextBlock] | None = None
    published: PublishedCost | None = None

    @property
    def options(self) -> tuple[NetworkOption, ...]:
        """What can be switched in the block and around it."""
        around = (FUSION_OPTION,) if self.fused else ()
        return (*options_of_block(self.kind or self.name), *around, INPUT_OPTION)

    def resolve(self, options: Mapping[str, OptionValue] | None = None) -> dict[str, OptionValue]:
        """The values of all options.

        Raises:
            NetworkOptionError: there is no such option or value.
        """
        kind = self.kind or self.name
        given = {**self.defaults, **(options or {})}
        return complete_settings(kind, resolve_options(self.name, self.options, given), PSA_CROP, PSA_STRIDE)

    def block(self, channels: int, options: Mapping[str, OptionValue] | None = None) -> ContextBlock:
        """The block for a number of input channels."""
        return BLOCK_KINDS[self.kind or self.name].make(channels, self.resolve(options))

    @property
    def widening(self) -> int:
        """The block's output channels over its input channels, without options."""
        return 2 if BLOCK_KINDS[self.kind or self.name].doubles(self.resolve()) else 1


DANET = "DANet, CVPR 2019"
EMANET = "EMANet, ICCV 2019"
CCNET = "CCNet, ICCV 2019"
FLANET = "FLANet, AAAI 2022"
ATTANET = "AttaNet, AAAI 2021"
SSANET = "SSANet, arXiv 2109.01915"
PSANET = "PSANet, ECCV 2018"
PSA_CROP, PSA_STRIDE = (360, 480), 8  # the size of training, whose grid PSA's masks cover

CODE_ENERGY: Mapping[str, OptionValue] = MappingProxyType({"energy": "-E"})  # as these were trained
SPATIAL = r"every place weighs all places by query and key, $A_{pj} = \mathrm{softmax}_j(q_p^\top k_j)$ (DANet, eq. 1)"
CHANNEL = (
    r"channels weigh channels, $A = \mathrm{softmax}(-X X^\top)$, alike in every place "
    "(DANet's released code; its eq. 3 has no minus)"
)


def point_wise_alone(height: int, width: int, channels: int) -> ContextBlock:
    """PSA with an over-completed mask for the whole grid, shrunk by 2."""
    rows, columns = (height - 1) // 2 + 1, (width - 1) // 2 + 1
    return blocks.PointWiseSpatialAttention(channels, channels, (2 * rows - 1, 2 * columns - 1))


MODEL_ROWS = (
    ModelSpec(
        "fcn", "FCN (no context)", "FCN, CVPR 2015",
        "no attention: every place is classified from its own features.",
        kind="none",
    ),
    ModelSpec(
        "channel_nl", "Channel non-local", DANET,
        f"{CHANNEL}. So a point has no map of its own.",
        ("channel",), defaults=CODE_ENERGY, published=PublishedCost(9.66, 40),
    ),
    ModelSpec(
        "spatial_nl", "Spatial non-local", DANET,
        f"{SPATIAL}.",
        ("spatial",), published=PublishedCost(103.90, 1320),
    ),
    ModelSpec(
        "dual_nl", "Dual non-local", DANET,
        f"two branches, added. In one {SPATIAL}; in the other {CHANNEL}.",
        ("spatial", "channel"), defaults=CODE_ENERGY, published=PublishedCost(113.56, 1378),
    ),
    ModelSpec(
        "cs_nl", "Channel-spatial non-local", FLANET,
        f"two steps. First {CHANNEL}; then {SPATIAL}.",
        ("spatial", "channel"), defaults=CODE_ENERGY, published=PublishedCost(113.56, 1378),
    ),
    ModelSpec(
        "ema", "Expectation-maximization attention", EMANET,
        r"places attend to one another through 64 bases that are fitted to the picture, "
        r"$A_{pj} = \sum_k z_{pk} z_{jk} / \sum_n z_{nk}$ (EMANet, eq. 12-13).",
        ("bases",), published=PublishedCost(13.91, 98),
    ),
    ModelSpec(
        "rcca", "Recurrent criss-cross attention", CCNET,
        "every place weighs the places of its own row and column, and does so twice; after the second pass it has "
        "reached all of them (CCNet, eq. 1-3).",
        ("cross",), published=PublishedCost(16.18, 174),
    ),
    ModelSpec(
        "fla", "Fully attentional block", FLANET,
        r"channels weigh channels, but in every row and column separately, "
        r"$A = \mathrm{softmax}_i(\sum_s x_{js} q_{is})$ (FLANet, eq. 1-2). "
        "One 3 x 3 convolution leads to it here; the paper has two.",
        ("rows", "columns"), published=PublishedCost(19.37, 436),
    ),
    ModelSpec(
        "sam", "Strip attention", ATTANET,
        r"every place weighs whole columns by their mean keys, $A_{pj} = \mathrm{softmax}_j(q_p^\top \bar k_j)$ "
        "(AttaNet, the affinity of SAM).",
        ("strip", "gate"), channels=128, output_stride=32, fused=True,
    ),
    ModelSpec(
        "snl", "Sparse non-local", SSANET,
        r"every place reads 81 points $t_k = p + b_k + \Delta_k(p)$, a window moved by learned offsets, with "
        r"$S_{pk} = \mathrm{softmax}_k(\theta_p^\top \phi(t_k))$ (SSANet, eq. 4-7).",
        ("samples",),
        alone=lambda height, width, channels: blocks.SparseNonLocal(channels),
    ),
    ModelSpec(
        "psa", "Point-wise spatial attention", PSANET,
        "two masks for every place: what it collects from the others, and what it distributes to them "
        "(PSANet, eq. 8-9, with the softmax of the released networks in place of 1/N).",
        ("collect", "distribute"), defaults={"inner": 128, "outside": "unseen"}, alone=point_wise_alone,
    ),
)  # fmt: skip

SPECS: Mapping[str, ModelSpec] = MappingProxyType({row.name: row for row in MODEL_ROWS})
NETWORK_NAMES = (*SPECS, *NETWORKS)


def spec_of(name: str) -> ModelSpec:
    """The row of a model.

    Raises:
        KeyError: there is no such model.
    """
    if name not in SPECS:
        raise KeyError(f"model '{name}' is unknown; the models are {', '.join(SPECS)}")
    return SPECS[name]


def build(
    name: str,
    classes: int,
    backbone: str | None = None,
    output_stride: int | None = None,
    options: Mapping[str, OptionValue] | None = None,
) -> BlockNetwork:
    """A network with random weights: a model, or a network of the papers.

    Args:
        name: a row of MODELS or of NETWORKS.
        classes: the number of classes.
        backbone: a backbone in place of the row's.
        output_stride: an output stride in place of the row's.
        options: options by name, see `options_of`; the others have their defaults.

    Raises:
        KeyError: there is no such network.
        NetworkOptionError: there is no such option or value.
        ValueError: see `Backbone`.
    """
    if name in NETWORKS:
        return NETWORKS[name].build(classes, backbone, output_stride, options)
    spec = spec_of(name)
    settings = spec.resolve(options)
    body = Backbone(backbone or spec.backbone, output_stride or spec.output_stride)
    block, width = spec.block(spec.channels, settings), spec.channels
    if BLOCK_KINDS[spec.kind or name].doubles(settings):
        width *= 2
    fusion = str(settings.get("fusion"))
    reduction = FusionReduction(body, spec.channels, fusion) if spec.fused else Reduction(body, spec.channels)
    network = Segmenter(body, reduction, block, width, classes)
    network.picture = choose_input(str(settings["input"]), backbone or spec.backbone)
    network.options, network.backbone_name = settings, backbone or spec.backbone
    return network


def own_body(name: str) -> tuple[str, int]:
    """The body that a network has unless another is asked for, and its output stride.

    Raises:
        KeyError: there is no such network.
    """
    row = NETWORKS[name] if name in NETWORKS else spec_of(name)
    return row.backbone, row.output_stride


def options_of(name: str) -> tuple[NetworkOption, ...]:
    """The options of a network.

    Raises:
        KeyError: there is no such network.
    """
    return NETWORKS[name].options if name in NETWORKS else spec_of(name).options


def read_options(name: str, texts: Iterable[str]) -> dict[str, OptionValue]:
    """The options in texts `NAME=VALUE`, as the command line has them; a tuple's numbers stand with commas.

    Raises:
        KeyError: there is no such network.
        NetworkOptionError: a text has another form, or there is no such option or value.
    """
    given = read_pairs(name, options_of(name), texts)
    resolve_network(name, given)
    return given


def resolve_network(name: str, options: Mapping[str, OptionValue] | None = None) -> dict[str, OptionValue]:
    """The values of all options of a network.

    Raises:
        KeyError: there is no such network.
        NetworkOptionError: there is no such option or value.
    """
    return NETWORKS[name].resolve(options) if name in NETWORKS else spec_of(name).resolve(options)


def build_block(
    name: str,
    options: Mapping[str, OptionValue] | None = None,
    backbone: str | None = None,
    output_stride: int | None = None,
) -> ContextBlock:
    """A network's block alone, with random weights; the arguments are those of `build`.

    Raises:
        KeyError: there is no such network.
        NetworkOptionError: there is no such option or value.
        ValueError: see `Backbone`.
    """
    if name in NETWORKS:
        return NETWORKS[name].block(options, backbone, output_stride)
    return spec_of(name).block(spec_of(name).channels, options)  # its width and masks do not depend on the body


def maps_of(name: str, options: Mapping[str, OptionValue] | None = None) -> tuple[str, ...]:
    """The names of a network's maps, in order.

    Raises:
        KeyError: there is no such network.
        NetworkOptionError: there is no such option or value.
    """
    if name in NETWORKS:
        return NETWORKS[name].maps(options)
    spec = spec_of(name)
    settings = spec.resolve(options)
    gate = ("gate",) if settings.get("fusion") == "afm" else ()
    return (*BLOCK_KINDS[spec.kind or name].maps(settings), *gate)
