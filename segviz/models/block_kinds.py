"""BLOCK_KINDS: every context block by name, with its options and how they make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from segviz.attention.maps import MaskDirection
from segviz.models import blocks
from segviz.models.blocks import ContextBlock
from segviz.models.options import NetworkOption, NetworkOptionError, OptionValue

BlockSettings = Mapping[str, Any]  # values of options by name, of the types that `NetworkOption.check` made sure of
MapNames = tuple[str, ...]

SNL_WINDOWS = {
    9: (3, 3),
    49: (7, 7),
    81: (9, 9),
    99: (9, 11),
    121: (11, 11),
}  # rows x columns for K of SSANet's Table 1
PSA_DIRECTIONS: Mapping[str, tuple[MaskDirection, ...]] = MappingProxyType(
    {"both": ("collect", "distribute"), "collect": ("collect",), "distribute": ("distribute",)}
)
KEYS_OF_BLOCK = 0  # the block's own number of key channels
FITTING = (0, 0)  # masks that just cover the grid of a crop


@dataclass(frozen=True)
class BlockKind:
    """One kind of context block.

    Attributes:
        name: its name as a value of the option `block`.
        title: the name for people, with its paper.
        make: makes the block, for a number of input channels and its settings.
        maps: the names of its maps, in order, for its settings.
        doubles: whether its output has twice as many channels as its input, for its settings.
    """

    name: str
    title: str
    make: Callable[[int, BlockSettings], ContextBlock]
    maps: Callable[[BlockSettings], MapNames]
    doubles: Callable[[BlockSettings], bool] = lambda _: False


def always(*names: str) -> Callable[[BlockSettings], MapNames]:
    """Maps that no setting changes."""
    return lambda _: names


def keys_of(settings: BlockSettings) -> int | None:
    """Channels of queries and keys; None: the block's own number."""
    return settings["keys"] or None


def negates(settings: BlockSettings) -> bool:
    """Whether the affinity of channels is softmax(-E)."""
    return bool(settings["energy"] == "-E")


def make_non_local(channels: int, settings: BlockSettings) -> ContextBlock:
    """Wang et al.'s block as SSANet has it (eq. 1-3), or with a scalar gamma in place of the last convolution."""
    reduced = settings["keys"] or channels // 2
    return (blocks.ProjectedNonLocal if settings["project"] else blocks.SpatialNonLocal)(channels, reduced)


def make_strips(channels: int, settings: BlockSettings) -> ContextBlock:
    """AttaNet's strip attention."""
    activated = settings["projections"] == "activated"
    return blocks.StripAttentionModule(channels, settings["keys"] or 64, settings["strips"], activated)


def make_sparse(channels: int, settings: BlockSettings) -> ContextBlock:
    """SSANet's sparse non-local block, with its pooling branch or without."""
    made = blocks.SparseNonLocalWithPooling if settings["pooling"] else blocks.SparseNonLocal
    return made(channels, SNL_WINDOWS[settings["points"]], settings["padding"], sampling=settings["sampling"])


def make_point_wise(channels: int, settings: BlockSettings) -> ContextBlock:
    """PSANet's block."""
    return blocks.PointWiseSpatialAttention(
        channels,
        settings["inner"],
        settings["mask"],
        PSA_DIRECTIONS[settings["directions"]],
        settings["shrink"],
        settings["compact"],
        outside=settings["outside"],
        softmax=settings["softmax"],
    )


def fit_mask(crop: Sequence[int], stride: int, settings: BlockSettings) -> tuple[int, int]:
    """Rows and columns of a mask that just covers the grid of a crop: 2H-1 x 2W-1, or H x W where it is compact."""
    rows, columns = (((-(-side // stride)) - 1) // settings["shrink"] + 1 for side in crop)
    return (rows, columns) if settings["compact"] else (2 * rows - 1, 2 * columns - 1)


KINDS = (
    BlockKind("none", "no context", lambda *_: blocks.NoContext(), always()),
    BlockKind(
        "ppm", "pyramid pooling (PSPNet)", lambda channels, _: blocks.PyramidPooling(channels), always(), lambda _: True
    ),
    BlockKind(
        "aspp",
        "ASPP (DeepLabV3)",
        lambda channels, have: blocks.AtrousPyramid(channels, have["rates"]),
        always(),
    ),
    BlockKind(
        "gp", "global pooling (ParseNet)", lambda channels, _: blocks.GlobalPooling(channels), always(), lambda _: True
    ),
    BlockKind("nl", "non-local (Wang et al.)", make_non_local, always("spatial")),
    BlockKind(
        "channel_nl",
        "channel non-local (DANet)",
        lambda _, have: blocks.ChannelNonLocal(negates(have)),
        always("channel"),
    ),
    BlockKind(
        "spatial_nl",
        "spatial non-local (DANet)",
        lambda channels, have: blocks.SpatialNonLocal(channels, keys_of(have)),
        always("spatial"),
    ),
    BlockKind(
        "dual_nl",
        "dual non-local (DANet)",
        lambda channels, have: blocks.DualNonLocal(channels, keys_of(have), negates(have)),
        always("spatial", "channel"),
    ),
    BlockKind(
        "cs_nl",
        "channel, then spatial non-local (FLANet)",
        lambda channels, have: blocks.ChannelSpatialNonLocal(channels, keys_of(have), negates(have)),
        always("spatial", "channel"),
    ),
    BlockKind(
        "sc_nl",
        "spatial, then channel non-local (FLANet)",
        lambda channels, have: blocks.SpatialChannelNonLocal(channels, keys_of(have), negates(have)),
        always("channel", "spatial"),
    ),
    BlockKind(
        "ema",
        "expectation-maximization attention (EMANet)",
        lambda channels, have: blocks.ExpectationMaximization(channels, have["bases"], have["em_steps"]),
        always("bases"),
    ),
    BlockKind(
        "rcca",
        "recurrent criss-cross attention (CCNet)",
        lambda channels, have: blocks.RecurrentCrissCross(channels, keys_of(have), have["passes"]),
        always("cross"),
    ),
    BlockKind(
        "fla",
        "fully attentional block (FLANet)",
        lambda channels, _: blocks.FullyAttentional(channels),
        always("rows", "columns"),
    ),
    BlockKind("sam", "strip attention (AttaNet)", make_strips, always("strip")),
    BlockKind("snl", "sparse non-local (SSANet)", make_sparse, always("samples"), lambda have: bool(have["pooling"])),
    BlockKind(
        "psa",
        "point-wise spatial attention (PSANet)",
        make_point_wise,
        lambda have: PSA_DIRECTIONS[have["directions"]],
        lambda _: True,
    ),
)
BLOCK_KINDS: Mapping[str, BlockKind] = MappingProxyType({kind.name: kind for kind in KINDS})

CHANNEL_BLOCKS = ("channel_nl", "dual_nl", "cs_nl", "sc_nl")
BLOCK_OPTIONS = (
    NetworkOption("rates", (12, 24, 36), "dilations of ASPP's 3x3 convolutions", blocks=("aspp",)),
    NetworkOption(
        "keys", KEYS_OF_BLOCK, "channels of queries and keys; 0: the block's own, C/2 for nl, 64 for sam, else C/8",
        least=0, blocks=("nl", "spatial_nl", "dual_nl", "cs_nl", "sc_nl", "rcca", "sam"),
    ),
    NetworkOption(
        "project", True, "a 1x1 convolution after the attention (SSANet, eq. 3); false: a scalar gamma", blocks=("nl",)
    ),
    NetworkOption(
        "energy", "+E", "affinity of channels: softmax(+E) as the papers print, softmax(-E) as DANet's code computes",
        ("+E", "-E"), blocks=CHANNEL_BLOCKS,
    ),
    NetworkOption("bases", 64, "EMA's bases, K", blocks=("ema",)),
    NetworkOption("em_steps", 3, "EMA's steps for each picture", blocks=("ema",)),
    NetworkOption("passes", 2, "RCCA's passes, R", (1, 2, 3, 4), blocks=("rcca",)),
    NetworkOption("strips", "vertical", "SAM's strips: columns or rows", ("vertical", "horizontal"), blocks=("sam",)),
    NetworkOption(
        "projections", "activated", "SAM's 1x1 convolutions: with BatchNorm and ReLU (code), or plain (paper)",
        ("activated", "plain"), blocks=("sam",),
    ),
    NetworkOption("points", 81, "SNL's sampled keys, K", tuple(SNL_WINDOWS), blocks=("snl",)),
    NetworkOption("pooling", True, "SNL's branch of global pooling", blocks=("snl",)),
    NetworkOption(
        "padding", "zeros", "what SNL's samples read beyond the edge: zeros, the nearest cell, or nothing",
        ("zeros", "border", "mask"), blocks=("snl",),
    ),
    NetworkOption(
        "sampling", "products", "how SNL computes: all products, or K keys gathered for each query; the same numbers",
        ("products", "gather"), blocks=("snl",),
    ),
    NetworkOption("directions", "both", "PSA's branches", tuple(PSA_DIRECTIONS), blocks=("psa",)),
    NetworkOption("compact", False, "PSA's masks are H x W absolute positions, not 2H-1 x 2W-1", blocks=("psa",)),
    NetworkOption("shrink", 2, "how many times smaller PSA's grid is than its input", (1, 2), blocks=("psa",)),
    NetworkOption(
        "mask", FITTING, "rows and columns of PSA's masks; 0,0: what the crop needs", least=0, blocks=("psa",)
    ),
    NetworkOption("softmax", True, "PSA's softmax as in the code; false: 1/N, as printed", blocks=("psa",)),
    NetworkOption(
        "outside", "zero", "cells beyond the mask on a larger picture: logit 0 as in the code, or no weight",
        ("zero", "unseen"), blocks=("psa",),
    ),
    NetworkOption("inner", 512, "channels that each of PSA's branches moves", blocks=("psa",)),
)  # fmt: skip


def options_of_block(block: str) -> tuple[NetworkOption, ...]:
    """The options of one kind of block, as options of a network that has no other."""
    return tuple(option for option in BLOCK_OPTIONS if block in option.blocks)


def complete_settings(
    block: str, settings: Mapping[str, OptionValue], crop: Sequence[int], stride: int
) -> dict[str, OptionValue]:
    """The settings, in which PSA's mask has its numbers, for a crop of (height, width) at a stride.

    Raises:
        NetworkOptionError: the mask has a side of 0.
    """
    if block != "psa":
        return dict(settings)
    mask = settings["mask"]
    if mask == FITTING:
        return {**settings, "mask": fit_mask(crop, stride, settings)}
    if isinstance(mask, tuple) and 0 in mask:
        raise NetworkOptionError(
            "option 'mask' has a side of 0; give both rows and columns, or 0,0 for what the crop needs"
        )
    return dict(settings)
