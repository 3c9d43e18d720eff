"""`--model` of commands that take any network, and the options that describe one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from segviz.catalogue.source_names import SOURCE_FORMS, names_network
from segviz.cli.arguments import read_model
from segviz.cli.own_models import describe_network
from segviz.cli.shared_options import Parser, add_device

NETWORK_OPTIONS = ("weights", "classes", "mean", "std", "input_size", "fit")


def read_source(text: str) -> str:
    """Read whatever names a network: a bundled model, a checkpoint, a file of weights, or a network to build."""
    if names_network(text):
        return text
    with suppress(OSError, ValueError):
        if Path(text).suffix in (".pth", ".pt", ".bin", ".ckpt"):
            return text
    try:
        return read_model(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, a checkpoint's path, {SOURCE_FORMS}") from None


def add_any_model(command: Parser) -> None:
    """Add `--model`, the options that describe a network, and `--device`."""
    command.add_argument(
        "--model", type=read_source, required=True, metavar="SOURCE",
        help="a name from `models`, a checkpoint, published weights (.pth), net.py:build, package.module:build, "
        "timm:NAME, torchvision:NAME, hf:NAME, hf:FOLDER or smp:NAME",
    )  # fmt: skip
    group = command.add_argument_group("a network of your own", "docs/any-network.md")

    def describe(option: str, metavar: str, help_: str, read: Callable[[str], Any] = str, **more: Any) -> None:
        group.add_argument(option, metavar=metavar, help=help_, type=read, default=None, **more)

    describe_network(describe, "--input-size")
    add_device(command)
