"""`models --networks` and `models --options`: the papers' networks, and what can be switched in a network."""

from __future__ import annotations

import shutil
import textwrap

import torch

from segviz.cli.errors import UsageError
from segviz.models.block_kinds import BLOCK_KINDS
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import NetworkOption, write_setting
from segviz.models.registry import NETWORK_NAMES, options_of, resolve_network
from segviz.models.size import count_parameters
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
    settings = resolve_network(name)
    block, own, others = settings.get("block"), "of its block", "of other blocks, with --option block=NAME"
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for option in options_of(name):
        mine = block is None or not option.blocks or block in option.blocks
        if mine:
            heading = "" if block is None or not option.blocks else f"{own} {block}"
            row = (option.name, write_setting(settings[option.name]), option.help)
            groups.setdefault(heading, []).append((*row[:2], f"{row[2]} [{option.values}]"))
        for value, blocks in defaults_in_others(name, option).items():
            if not mine or value != write_setting(settings[option.name]):
                text = f"{', '.join(blocks)}: {option.help} [{option.values}]"
                groups.setdefault(others, []).append((option.name, value, text))
    rows = [row for group in groups.values() for row in group]
    names, defaults = ("option", *(row[0] for row in rows)), ("default", *(row[1] for row in rows))
    widths = max(map(len, names)), max(map(len, defaults))
    lines = [wrap_option("option", "default", "what it does [values]", widths)]
    for heading in sorted(groups):  # the network's own, those of its block, the others
        lines += [f"\n{heading}:"] if heading else []
        lines += [wrap_option(*row, widths) for row in groups[heading]]
    return "\n".join(lines)


def defaults_in_others(name: str, option: NetworkOption) -> dict[str, list[str]]:
    """The blocks other than a network's own that have an option, by the default that they have in this network."""
    found: dict[str, list[str]] = {}
    settings = resolve_network(name)
    for block in option.blocks if "block" in settings else ():
        if block != settings["block"]:
            value = write_setting(resolve_network(name, {"block": block})[option.name])
            found.setdefault(value, []).append(block)
    return found


def wrap_option(name: str, default: str, text: str, widths: tuple[int, int]) -> str:
    """A row of a table whose last column is wrapped to the terminal, between 80 and 120 characters."""
    start = f"{name.ljust(widths[0])}  {default.ljust(widths[1])}  "
    columns = min(max(shutil.get_terminal_size().columns, 80), 120)
    return textwrap.fill(
        text, columns, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
    )
