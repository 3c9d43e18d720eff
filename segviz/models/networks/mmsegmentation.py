"""Networks as mmsegmentation stores them: a ResNet of version 1c or 1, and one of its decode heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from segviz.models.blocks import (
    ContextBlock,
    DisentangledNonLocal,
    DualBranches,
    EmbeddedNonLocal,
    ExpectationMaximization,
    GlobalContext,
    PointWiseSpatialAttention,
    RecurrentCrissCross,
)
from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.heads import ConvReduction, StackedClassifier
from segviz.models.networks.layout import Choices, NetworkPlan, PictureInput, WeightsLayout
from segviz.models.networks.resnet_body import ResNetBody, ResNetDesign
from segviz.models.networks.semseg import mask_directions, mask_shape
from segviz.models.networks.stored_tensors import (
    Change,
    NamePair,
    StoredTensors,
    pair_conv_module,
    pair_stages,
)

MMSEG_SOURCE = "mmsegmentation"
MMSEG_HEAD = "decode_head"
MMSEG_LAYERS = tuple(f"backbone.layer{number}" for number in (1, 2, 3, 4))
MMSEG_STEM = tuple(f"backbone.stem.{number}" for number in (0, 1, 3, 4, 6))
MMSEG_AUXILIARY = {"auxiliary_head": "the auxiliary head"}
MMSEG_CORNERS = "the configurations for crops of 769 have True, all others False"


@dataclass(frozen=True)
class HeadPlan:
    """A decode head: what makes it, and its names.

    Attributes:
        make: makes reduction, block and classifier.
        pairs: names in the file and in the network.
        changes: see `fill_network`.
        unused: modules of the file that are left out, and what they are.
    """

    make: Callable[[], tuple[nn.Module, ContextBlock, nn.Module]]
    pairs: tuple[NamePair, ...]
    changes: Mapping[str, Change] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)


ReadHead = Callable[[StoredTensors, Choices, int], HeadPlan]  # the number is the channels of the deepest features


def read_with_body(
    title: str, read_head: ReadHead, head_name: str = MMSEG_HEAD
) -> Callable[[StoredTensors, Choices], NetworkPlan]:
    """The reader of a network with a ResNet body and a decode head, the last one where there are several."""

    def read(stored: StoredTensors, choices: Choices) -> NetworkPlan:
        design, body_pairs = read_body(stored)
        head = read_head(stored, choices, design.widths[3] * (4 if design.bottleneck else 1))
        corners = choices.decide("align_corners", False, MMSEG_CORNERS)

        def make() -> ContextNetwork:
            reduction, block, classifier = head.make()
            return ContextNetwork(ResNetBody(design), reduction, block, classifier, corners)

        return NetworkPlan(
            title=f"{title}, {design.title}",
            classes=stored.width(f"{head_name}.conv_seg.weight"),
            make=make,
            pairs=(*body_pairs, *head.pairs),
            expects=PictureInput(),
            align_corners=corners,
            changes=head.changes,
            unused={**MMSEG_AUXILIARY, **head.unused},
        )

    return read


def read_body(stored: StoredTensors) -> tuple[ResNetDesign, tuple[NamePair, ...]]:
    """The body, and its names. The first block of a dilated stage keeps the dilation of the stage before."""
    deep = f"{MMSEG_STEM[0]}.weight" in stored.tensors
    stem = (MMSEG_STEM[0], MMSEG_STEM[2], MMSEG_STEM[4]) if deep else ("backbone.conv1",)
    design = stored.read_resnet(MMSEG_LAYERS, stem, third=(1, 2), fourth=(2, 4))
    if not deep:
        return design, (("backbone.conv1", "body.conv1"), ("backbone.bn1", "body.bn1"), *pair_stages(MMSEG_LAYERS))
    pairs = tuple((name, f"body.conv1.{name.rpartition('.')[2]}") for name in MMSEG_STEM)
    return design, (*pairs, ("backbone.stem.7", "body.bn1"), *pair_stages(MMSEG_LAYERS))


def classifier_pairs(after: str = "bottleneck") -> tuple[NamePair, ...]:
    """The names of a `StackedClassifier`."""
    return (
        *pair_conv_module(f"{MMSEG_HEAD}.{after}", "classifier.after"),
        *pair_conv_module(f"{MMSEG_HEAD}.conv_cat", "classifier.join"),
        (f"{MMSEG_HEAD}.conv_seg", "classifier.classifier"),
    )


def read_between(
    stored: StoredTensors,
    deep: int,
    make_block: Callable[[int], ContextBlock],
    pairs: tuple[NamePair, ...],
    changes: Mapping[str, Change] | None = None,
) -> HeadPlan:
    """A head with a block between two 3x3 convolutions, usually joined with the deepest features afterwards.

    Args:
        stored: the file's tensors.
        deep: channels of the deepest features.
        make_block: makes the block for its number of channels.
        pairs: names in the block.
        changes: see `fill_network`.
    """
    width = stored.width(f"{MMSEG_HEAD}.convs.0.conv.weight")
    classes = stored.width(f"{MMSEG_HEAD}.conv_seg.weight")
    beside = deep if f"{MMSEG_HEAD}.conv_cat.conv.weight" in stored.tensors else 0

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        return ConvReduction(deep, width), make_block(width), StackedClassifier(width, classes, width, beside)

    before = pair_conv_module(f"{MMSEG_HEAD}.convs.0", "reduction.layers.0")
    return HeadPlan(make, (*before, *pairs, *classifier_pairs("convs.1")), changes or {})


def read_point_wise(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """PSANet's head. Its masks leave the logit 0 beyond their reach, and its projection adds a border."""
    inner, width = (
        stored.width(f"{MMSEG_HEAD}.reduce.conv.weight"),
        stored.width(f"{MMSEG_HEAD}.bottleneck.conv.weight"),
    )
    directions = mask_directions(f"{MMSEG_HEAD}.attention_p.1.weight" in stored.tensors, choices)
    compact, mask = mask_shape(stored.width(f"{MMSEG_HEAD}.attention.1.weight"), choices, even_is_compact=False)
    shrink = choices.decide("shrink", 2, "all configurations shrink by 2")
    softmax = choices.decide("softmax", True, "all configurations take a softmax over the masks")
    classes = stored.width(f"{MMSEG_HEAD}.conv_seg.weight")

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        block = PointWiseSpatialAttention(
            deep, inner, mask, directions, shrink, compact, "zero", softmax, norm=1.0, shrinking="parity", padding=1
        )
        return ConvReduction(deep), block, StackedClassifier(2 * deep, classes, width)

    pairs = [*pair_conv_module(f"{MMSEG_HEAD}.proj", "block.project")]
    for direction, ending in zip(directions, ("", "_p"), strict=False):
        own = f"block.branches.{direction}"
        pairs += pair_conv_module(f"{MMSEG_HEAD}.reduce{ending}", f"{own}.reduce")
        pairs += pair_conv_module(f"{MMSEG_HEAD}.attention{ending}.0", f"{own}.mask.0")
        pairs.append((f"{MMSEG_HEAD}.attention{ending}.1", f"{own}.mask.1"))
    return HeadPlan(make, (*pairs, *classifier_pairs()))


def non_local_pairs(name: str) -> tuple[NamePair, ...]:
    """The names in mmcv's non-local block."""
    own = (("theta", "query"), ("phi", "key"), ("g", "value"))
    layers = tuple((f"{MMSEG_HEAD}.{name}.{foreign}.conv", f"block.{ours}") for foreign, ours in own)
    return (*layers, *pair_conv_module(f"{MMSEG_HEAD}.{name}.conv_out", "block.project"))


def read_non_local(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """The head of non-local networks."""
    reduced = stored.width(f"{MMSEG_HEAD}.nl_block.theta.conv.weight")
    scaled = choices.decide("scaled", True, "all configurations divide by the root of the queries' channels")
    return read_between(
        stored, deep, lambda width: EmbeddedNonLocal(width, reduced, scaled), non_local_pairs("nl_block")
    )


def read_disentangled(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """DNLNet's head."""
    reduced = stored.width(f"{MMSEG_HEAD}.dnl_block.theta.conv.weight")
    scaled = choices.decide("scaled", True, "all configurations divide by the root of the queries' channels")
    temperature = choices.decide("temperature", 0.05, "the default, which all configurations keep")
    pairs = (*non_local_pairs("dnl_block"), (f"{MMSEG_HEAD}.dnl_block.conv_mask", "block.unary"))
    return read_between(stored, deep, lambda width: DisentangledNonLocal(width, reduced, scaled, temperature), pairs)


def read_criss_cross(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """CCNet's head."""
    reduced = stored.width(f"{MMSEG_HEAD}.cca.query_conv.weight")
    passes = choices.decide("passes", 2, "any number of passes shares the tensors; all configurations have 2")
    pairs = tuple((f"{MMSEG_HEAD}.cca.{one}_conv", f"block.{one}") for one in ("query", "key", "value"))
    return read_between(
        stored,
        deep,
        lambda width: RecurrentCrissCross(width, reduced, passes),
        (*pairs, (f"{MMSEG_HEAD}.cca.gamma.scale", "block.gamma")),
        {"block.gamma": as_row},
    )


def read_global_context(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """GCNet's head."""
    kinds = {"add": f"{MMSEG_HEAD}.gc_block.channel_add_conv", "multiply": f"{MMSEG_HEAD}.gc_block.channel_mul_conv"}
    found = {own: name for own, name in kinds.items() if f"{name}.0.weight" in stored.tensors}
    inner = max((stored.width(f"{name}.0.weight") for name in found.values()), default=1)
    pairs = (
        (f"{MMSEG_HEAD}.gc_block.conv_mask", "block.salience"),
        *((name, f"block.{own}") for own, name in found.items()),
    )
    return read_between(
        stored, deep, lambda width: GlobalContext(width, inner, "add" in found, "multiply" in found), pairs
    )


def read_dual(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """DANet's head."""
    width, reduced = (
        stored.width(f"{MMSEG_HEAD}.pam_in_conv.conv.weight"),
        stored.width(f"{MMSEG_HEAD}.pam.query_project.weight"),
    )
    classes = stored.width(f"{MMSEG_HEAD}.conv_seg.weight")

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        return ConvReduction(deep), DualBranches(deep, width, reduced), StackedClassifier(width, classes)

    pairs = [
        *pair_conv_module(f"{MMSEG_HEAD}.pam_in_conv", "block.before_spatial"),
        *pair_conv_module(f"{MMSEG_HEAD}.cam_in_conv", "block.before_channel"),
        *pair_conv_module(f"{MMSEG_HEAD}.pam_out_conv", "block.after_spatial"),
        *pair_conv_module(f"{MMSEG_HEAD}.cam_out_conv", "block.after_channel"),
        *((f"{MMSEG_HEAD}.pam.{one}_project", f"block.spatial.{one}") for one in ("query", "key", "value")),
        (f"{MMSEG_HEAD}.pam.gamma.scale", "block.spatial.gamma"),
        (f"{MMSEG_HEAD}.cam.gamma.scale", "block.channel.gamma"),
        (f"{MMSEG_HEAD}.conv_seg", "classifier.classifier"),
    ]
    what = "the classifier of one branch, which only training uses,"
    unused = {f"{MMSEG_HEAD}.pam_conv_seg": what, f"{MMSEG_HEAD}.cam_conv_seg": what}
    return HeadPlan(make, tuple(pairs), {"block.spatial.gamma": as_row, "block.channel.gamma": as_row}, unused)


def read_bases(stored: StoredTensors, choices: Choices, deep: int) -> HeadPlan:
    """EMANet's head."""
    _, channels, bases = stored.shape(f"{MMSEG_HEAD}.ema_module.bases")
    width, classes = stored.width(f"{MMSEG_HEAD}.bottleneck.conv.weight"), stored.width(f"{MMSEG_HEAD}.conv_seg.weight")
    steps = choices.decide("steps", 3, "the tensors do not depend on the number of steps; all configurations have 3")
    beside = deep if f"{MMSEG_HEAD}.conv_cat.conv.weight" in stored.tensors else 0

    def make() -> tuple[nn.Module, ContextBlock, nn.Module]:
        block = ExpectationMaximization(channels, bases, steps, epsilon=1e-12)
        return ConvReduction(deep, channels), block, StackedClassifier(channels, classes, width, beside)

    pairs = (
        *pair_conv_module(f"{MMSEG_HEAD}.ema_in_conv", "reduction.layers.0"),
        (f"{MMSEG_HEAD}.ema_mid_conv.conv", "block.before"),
        (f"{MMSEG_HEAD}.ema_module.bases", "block.initial_bases"),
        *pair_conv_module(f"{MMSEG_HEAD}.ema_out_conv", "block.after"),
        *classifier_pairs(),
    )
    return HeadPlan(make, pairs, {"block.initial_bases": first_row})


def as_row(tensor: Tensor) -> Tensor:
    """A single number as a row of one."""
    return tensor.reshape(1) if tensor.dim() == 0 else tensor


def first_row(tensor: Tensor) -> Tensor:
    """Without a leading dimension of 1."""
    return tensor[0] if tensor.dim() and len(tensor) == 1 else tensor


def make_layout(name: str, title: str, mark: str, read_head: ReadHead) -> WeightsLayout:
    """The layout of a network with a head, recognised by a tensor of it."""
    marks = ("backbone.layer1.0.conv1.weight", f"{MMSEG_HEAD}.{mark}", f"{MMSEG_HEAD}.conv_seg.weight")
    return WeightsLayout(f"mmsegmentation-{name}", title, MMSEG_SOURCE, marks, read_with_body(title, read_head))


MMSEGMENTATION: tuple[WeightsLayout, ...] = (
    make_layout("psanet", "PSANet", "attention.1.weight", read_point_wise),
    make_layout("nonlocal_net", "Non-local network", "nl_block.theta.conv.weight", read_non_local),
    make_layout("danet", "DANet", "pam.query_project.weight", read_dual),
    make_layout("ccnet", "CCNet", "cca.query_conv.weight", read_criss_cross),
    make_layout("emanet", "EMANet", "ema_module.bases", read_bases),
    make_layout("dnlnet", "DNLNet", "dnl_block.theta.conv.weight", read_disentangled),
    make_layout("gcnet", "GCNet", "gc_block.conv_mask.weight", read_global_context),
)
