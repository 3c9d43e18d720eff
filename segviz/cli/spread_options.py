"""The options of long runs: over a cluster, and resumed."""

from __future__ import annotations

import argparse
from pathlib import Path

from segviz.cli.arguments import integer_reader
from segviz.cli.shared_options import Parser
from segviz.runtime.ray_token import LOCAL

OWN_ADDRESS = ""  # of --ray without an address: the setting's, which is this machine by default


def add_spread(command: Parser, what: str) -> None:
    """Add `--ray` and `--workers`.

    Args:
        command: the command's parser.
        what: what is spread.
    """
    group = command.add_argument_group("long runs", "docs/ray.md")
    group.add_argument(
        "--ray", nargs="?", const=OWN_ADDRESS, type=read_address, metavar="ADDRESS",
        help=f"spread {what} over a Ray cluster, such as 10.0.0.5:6379 (default: SEGVIZ_RAY_ADDRESS, or one on this "
        "machine that ends with the command)",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=integer_reader(1, 10_000), metavar="N",
        help="workers in the cluster (default: as many as it has room for)",
    )  # fmt: skip


def add_resume(command: Parser) -> None:
    """Add `--resume` of commands that write files."""
    command.add_argument(
        "--resume", action="store_true", help="skip pictures that an earlier run into the same --out has finished"
    )


def add_resume_file(command: Parser) -> None:
    """Add `--resume FILE` of a command that writes none."""
    command.add_argument(
        "--resume", type=Path, metavar="FILE", help="save each picture's pixel counts in FILE, and continue from it"
    )


def read_address(text: str) -> str:
    """Read the address of a cluster's head.

    Raises:
        argparse.ArgumentTypeError: it is none, such as the name of a picture.
    """
    if text in (OWN_ADDRESS, LOCAL):
        return text
    host, _, port = text.rpartition(":")
    if not host or "/" in text or not port.isdecimal():
        raise argparse.ArgumentTypeError(
            f"'{text}' is not an address; use one such as 10.0.0.5:6379, or local, and put --ray after the pictures"
        )
    return text
