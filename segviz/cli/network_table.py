"""`models --networks` and `models --options`: the papers' networks, and what can be switched in a network."""

from __future__ import annotations

import shutil
import textwrap

import torch

from segviz.benchmarks.measure import count_parameters
from segviz.cli.errors import UsageError
from segviz.models.block_kinds import BLOCK_KINDS
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import NetworkOption, write_setting
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
    """The options of a network with their defaults, what they do and their values, in lines of at most 120 characters.

    Those of its own block stand before those of other blocks.

    Raises:
        UsageError: there is no such network.
    """
    if name not in NETWORK_NAMES:
        raise UsageError(f"network '{plain_text(name, 80)}' is unknown; use {', '.join(NETWORK_NAMES)}")
    settings, groups = resolve_network(name), dict[str, list[NetworkOption]]()
    block = settings.get("block")
    for option in options_of(name):
        if block is None or not option.blocks:
            heading = ""
        else:
            heading = f"of its block {block}" if block in option.blocks else "of other blocks, with --option block=NAME"
        groups.setdefault(heading, []).append(option)
    values = {option.name: write_setting(settings.get(option.name, option.default)) for option in options_of(name)}
    widths = (max(map(len, ("option", *values))), max(map(len, ("default", *values.values()))))
    lines = [wrap_option("option", "default", "what it does [values]", widths)]
    for heading in sorted(groups):  # the network's own, those of its block, the others
        lines += [f"\n{heading}:"] if heading else []
        for option in groups[heading]:
            others = f"{', '.join(option.blocks)}: " if heading.startswith("of other") else ""
            lines.append(
                wrap_option(option.name, values[option.name], f"{others}{option.help} [{option.values}]", widths)
            )
    return "\n".join(lines)


def wrap_option(name: str, default: str, text: str, widths: tuple[int, int]) -> str:
    """A row of a table whose last column is wrapped to the terminal, between 80 and 120 characters."""
    start = f"{name.ljust(widths[0])}  {default.ljust(widths[1])}  "
    columns = min(max(shutil.get_terminal_size().columns, 80), 120)
    return textwrap.fill(
        text, columns, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
    )
