"""`--model` of commands that take any network, and the options that describe one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from segviz.catalogue.entry import LARGEST_SIDE
from segviz.catalogue.source_names import SOURCE_FORMS, names_network
from segviz.cli.arguments import read_model, refuse_untrained
from segviz.cli.own_models import ASSUME_HELP, describe_network, read_assumption, read_size
from segviz.cli.shared_options import Parser, add_device

NETWORK_OPTIONS = ("weights", "classes", "mean", "std", "input_size", "fit", "assume")


def read_source(text: str) -> str:
    """Read whatever names a network: a bundled model, a checkpoint, a file of weights, or a network to build.

    Raises:
        argparse.ArgumentTypeError: it names nothing.
    """
    if names_network(text):
        return text
    with suppress(OSError, ValueError):
        if Path(text).suffix in (".pth", ".pt", ".bin", ".ckpt"):
            return text
    refuse_untrained(text)
    try:
        return read_model(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, a checkpoint's path, {SOURCE_FORMS}") from None


SEEN_SIZE_HELP = (
    "the size at which the network sees pictures, or `own` for their own, shrunk to 1024,2048 where it is larger "
    "(default: own; for the models that `models` lists, the area of their training pictures)"
)


def add_any_model(command: Parser, all_word: str = "", size_help: str = SEEN_SIZE_HELP) -> None:
    """Add `--model`, the options that describe a network, and `--device`.

    Args:
        command: the command's parser.
        all_word: what stands for all bundled models; "" where one network is taken.
        size_help: the help of `--input-size`.
    """

    def read(text: str) -> str:
        return text if all_word and text == all_word else read_source(text)

    several = f"{all_word}, " if all_word else ""
    command.add_argument(
        "--model", type=read, required=True, metavar="SOURCE",
        help=f"{several}a name from `models`, a checkpoint, published weights (.pth), "
        f"{SOURCE_FORMS}",
    )  # fmt: skip
    group = command.add_argument_group("a network of your own", "docs/any-network.md")

    def describe(option: str, metavar: str, help_: str, read: Callable[[str], Any] = str, **more: Any) -> None:
        group.add_argument(option, metavar=metavar, help=help_, type=read, default=None, **more)

    describe_network(describe)
    describe("--assume", "NAME=VALUE", ASSUME_HELP, read_assumption, action="append")
    add_device(command)
    command.add_argument("--input-size", type=read_seen_size, metavar="H,W", help=size_help)


def read_seen_size(text: str) -> list[int] | str:
    """A height and a width in pixels, or "own".

    Raises:
        argparse.ArgumentTypeError: it is neither, or out of range.
    """
    if text == "own":
        return text
    size = read_size(text)
    if min(size) < 32 or max(size) > LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"'{text}' is out of range; use sides from 32 to {LARGEST_SIDE}, or own")
    return size
