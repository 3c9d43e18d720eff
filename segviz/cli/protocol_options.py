"""The options that say how pictures are shown to a network: `evaluate` scores by them, and `predict` labels by them."""

from __future__ import annotations

import argparse

from segviz.catalogue.entry import LARGEST_SIDE
from segviz.cli.arguments import integer_reader, read_scales, read_share
from segviz.cli.shared_options import Parser

VIEW_OPTIONS = ("scales", "flip", "crop", "step", "whole", "long_side")


def add_protocol(command: Parser, meaning: str, multi_scale: bool = False) -> None:
    """Add the options of a test protocol.

    Args:
        command: the command's parser.
        meaning: what the command does with the views' scores.
        multi_scale: whether to add `--multi-scale`, a second protocol beside the first.
    """
    group = command.add_argument_group("protocol", f"docs/protocols.md; {meaning}")
    group.add_argument(
        "--scales", type=read_scales, metavar="S,S", help="factors on the picture's size, such as 0.75,1,1.25"
    )
    group.add_argument("--flip", action="store_true", help="also average over mirrored images")
    if multi_scale:
        group.add_argument(
            "--multi-scale", action="store_true",
            help="also score the mean over --scales (default: 0.5 to 1.75 in steps of 0.25) and their mirror images",
        )  # fmt: skip
    group.add_argument(
        "--crop", type=integer_reader(32, 4096), nargs=2, metavar=("H", "W"), help="slide crops over the picture"
    )
    group.add_argument(
        "--step",
        type=read_share,
        metavar="SHARE",
        help="distance between crops, as a share of their sides (default: 2/3)",
    )
    group.add_argument("--whole", action="store_true", help="show pictures whole where a network's authors slide crops")
    group.add_argument(
        "--long-side", type=integer_reader(32, LARGEST_SIDE), metavar="N", help="resize the longer side to N at scale 1"
    )


def names_protocol(options: argparse.Namespace) -> bool:
    """Whether an option of a protocol was given."""
    return any(getattr(options, name) not in (None, False) for name in VIEW_OPTIONS)
