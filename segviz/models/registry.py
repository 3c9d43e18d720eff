"""MODELS: one literal row a model; pages, command line, benchmarks and tests follow from this table.

Beside it, what can be asked of any network by its name: of a model, or of a network of the papers (`networks.rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from segviz.models import blocks
from segviz.models.blocks import ContextBlock
from segviz.models.model_row import ModelRow, PublishedCost
from segviz.models.networks.rows import NETWORKS, NetworkRow
from segviz.models.options import NetworkOption, OptionValue, read_pairs
from segviz.models.segmenter import BlockNetwork

DANET = "DANet, CVPR 2019"
EMANET = "EMANet, ICCV 2019"
CCNET = "CCNet, ICCV 2019"
FLANET = "FLANet, AAAI 2022"
ATTANET = "AttaNet, AAAI 2021"
SSANET = "SSANet, arXiv 2109.01915"
PSANET = "PSANet, ECCV 2018"

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
    ModelRow(
        "fcn", "FCN (no context)", "FCN, CVPR 2015",
        "no attention: every place is classified from its own features.",
        kind="none",
    ),
    ModelRow(
        "channel_nl", "Channel non-local", DANET,
        f"{CHANNEL}. So a point has no map of its own.",
        ("channel",), defaults=CODE_ENERGY, published=PublishedCost(9.66, 40),
    ),
    ModelRow(
        "spatial_nl", "Spatial non-local", DANET,
        f"{SPATIAL}.",
        ("spatial",), published=PublishedCost(103.90, 1320),
    ),
    ModelRow(
        "dual_nl", "Dual non-local", DANET,
        f"two branches, added. In one {SPATIAL}; in the other {CHANNEL}.",
        ("spatial", "channel"), defaults=CODE_ENERGY, published=PublishedCost(113.56, 1378),
    ),
    ModelRow(
        "cs_nl", "Channel-spatial non-local", FLANET,
        f"two steps. First {CHANNEL}; then {SPATIAL}.",
        ("spatial", "channel"), defaults=CODE_ENERGY, published=PublishedCost(113.56, 1378),
    ),
    ModelRow(
        "ema", "Expectation-maximization attention", EMANET,
        r"places attend to one another through 64 bases that are fitted to the picture, "
        r"$A_{pj} = \sum_k z_{pk} z_{jk} / \sum_n z_{nk}$ (EMANet, eq. 12-13).",
        ("bases",), published=PublishedCost(13.91, 98),
    ),
    ModelRow(
        "rcca", "Recurrent criss-cross attention", CCNET,
        "every place weighs the places of its own row and column, and does so twice; after the second pass it has "
        "reached all of them (CCNet, eq. 1-3).",
        ("cross",), published=PublishedCost(16.18, 174),
    ),
    ModelRow(
        "fla", "Fully attentional block", FLANET,
        r"channels weigh channels, but in every row and column separately, "
        r"$A = \mathrm{softmax}_i(\sum_s x_{js} q_{is})$ (FLANet, eq. 1-2). "
        "One 3 x 3 convolution leads to it here; the paper has two.",
        ("rows", "columns"), published=PublishedCost(19.37, 436),
    ),
    ModelRow(
        "sam", "Strip attention", ATTANET,
        r"every place weighs whole columns by their mean keys, $A_{pj} = \mathrm{softmax}_j(q_p^\top \bar k_j)$ "
        "(AttaNet, the affinity of SAM).",
        ("strip", "gate"), channels=128, output_stride=32, fused=True,
    ),
    ModelRow(
        "snl", "Sparse non-local", SSANET,
        r"every place reads 81 points $t_k = p + b_k + \Delta_k(p)$, a window moved by learned offsets, with "
        r"$S_{pk} = \mathrm{softmax}_k(\theta_p^\top \phi(t_k))$ (SSANet, eq. 4-7).",
        ("samples",),
        alone=lambda height, width, channels: blocks.SparseNonLocal(channels),
    ),
    ModelRow(
        "psa", "Point-wise spatial attention", PSANET,
        "two masks for every place: what it collects from the others, and what it distributes to them "
        "(PSANet, eq. 8-9, with the softmax of the released networks in place of 1/N).",
        ("collect", "distribute"), defaults={"inner": 128, "outside": "unseen"}, alone=point_wise_alone,
    ),
)  # fmt: skip

MODELS: Mapping[str, ModelRow] = MappingProxyType({row.name: row for row in MODEL_ROWS})
NETWORK_NAMES = (*MODELS, *NETWORKS)


def row_of(name: str) -> ModelRow | NetworkRow:
    """The row of a model, or of a network of the papers.

    Raises:
        KeyError: there is no such network.
    """
    if name not in NETWORK_NAMES:
        raise KeyError(f"model '{name}' is unknown; the models are {', '.join(MODELS)}")
    return NETWORKS[name] if name in NETWORKS else MODELS[name]


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
    return row_of(name).build(classes, backbone, output_stride, options)


def own_body(name: str) -> tuple[str, int]:
    """The body that a network has unless another is asked for, and its output stride.

    Raises:
        KeyError: there is no such network.
    """
    row = row_of(name)
    return row.backbone, row.output_stride


def options_of(name: str) -> tuple[NetworkOption, ...]:
    """The options of a network.

    Raises:
        KeyError: there is no such network.
    """
    return row_of(name).options


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
    return row_of(name).resolve(options)


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
    return row_of(name).build_block(options, backbone, output_stride)


def maps_of(name: str, options: Mapping[str, OptionValue] | None = None) -> tuple[str, ...]:
    """The names of a network's maps, in order.

    Raises:
        KeyError: there is no such network.
        NetworkOptionError: there is no such option or value.
    """
    return row_of(name).maps_with(options)
