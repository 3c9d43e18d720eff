"""`models --networks` and `models --options`: the papers' networks, and what can be switched in a network."""

from __future__ import annotations

import torch

from segviz.benchmarks.measure import count_parameters
from segviz.cli.errors import UsageError
from segviz.models.block_kinds import BLOCK_KINDS
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import write_setting
from segviz.models.registry import NETWORK_NAMES, options_of, resolve_network
from segviz.text import format_table, plain_text

CITYSCAPES_CLASSES = 19  # the papers' main data set, for which parameters are counted


def list_networks() -> str:
    """The papers' networks with their bodies, parameters and options."""
    lines = []
    for row in NETWORKS.values():
        with torch.device("meta"):  # shapes without memory
            network = row.build(CITYSCAPES_CLASSES)
        size = f"{count_parameters(network) / 1e6:.2f} M"
        around = [option.name for option in row.options if not option.blocks]
        stride = str(row.output_stride)
        lines.append([row.name, row.title, row.paper, row.backbone, stride, size, ", ".join(around)])
    heads = ["name", "title", "paper", "backbone", "stride", "parameters", "options"]
    blocks = "\n".join(f"  {kind.name}: {kind.title}" for kind in BLOCK_KINDS.values())
    return (
        f"{format_table(heads, lines)}\n\nParameters are for {CITYSCAPES_CLASSES} classes. Each network takes any of "
        f"these blocks, as --option block=NAME, and the block's options:\n{blocks}\n"
        "`python -m segviz models --options NAME` lists all options of a network."
    )


def list_options(name: str) -> str:
    """The options of a network: values, defaults, blocks that they belong to, and what they do.

    Raises:
        UsageError: there is no such network.
    """
    if name not in NETWORK_NAMES:
        raise UsageError(f"network '{plain_text(name, 80)}' is unknown; use {', '.join(NETWORK_NAMES)}")
    settings = resolve_network(name)
    lines = [
        [
            option.name,
            write_setting(settings.get(option.name, option.default)),
            ", ".join(option.blocks) if "block" in settings else "",
            option.values,
            option.help,
        ]
        for option in options_of(name)
    ]
    return format_table(["option", "default", "of block", "values", "what it does"], lines)
