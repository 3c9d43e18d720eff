"""The options of `train` that a recipe sets, and the options of `recipes`. Quick to import: no torch."""

from __future__ import annotations

import argparse
import re

from segviz.cli.arguments import integer_reader, number_reader
from segviz.cli.shared_options import Commands, Parser, add_command, add_json
from segviz.training.auxiliary_points import AUXILIARY_POINTS, AUXILIARY_WORDS
from segviz.training.options import OPTIMIZERS
from segviz.training.recipes import DATA_TITLES, RECIPES
from segviz.training.view_range import COLOUR_CHANGES, Scales

LARGEST_SCALE, SMALLEST_SCALE = 8.0, 0.1
NUMBER = r"\d+(?:\.\d+)?"


def add_recipe(train: Parser) -> None:
    """Add `--recipe`, and what describes the network beside its name."""
    train.add_argument(
        "--recipe", choices=tuple(RECIPES), metavar="NAME",
        help=f"{', '.join(RECIPES)}: how a paper trained, for this data set; `recipes` shows each number with its "
        "source, and other options override it (default: %(default)s)",
    )  # fmt: skip
    train.add_argument("--backbone", metavar="NAME", help="a backbone in place of the network's own, such as resnet50")
    train.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the network; may be repeated"
    )


def add_optimizer(train: Parser) -> None:
    """Add how weights are updated."""
    group = train.add_argument_group("optimizer")
    group.add_argument("--optimizer", choices=OPTIMIZERS, help=f"{', '.join(OPTIMIZERS)} (default: %(default)s)")
    group.add_argument("--momentum", type=number_reader(0, 0.9999), help="momentum of sgd (default: %(default)s)")
    group.add_argument("--weight-decay", type=number_reader(0, 1), help="decay of weights (default: %(default)s)")
    group.add_argument("--rate", type=number_reader(0, 1), help="highest learning rate (default: %(default)s)")
    group.add_argument(
        "--power", type=number_reader(0, 10), help="power of the poly rule for the learning rate (default: %(default)s)"
    )
    group.add_argument(
        "--warm-up", type=number_reader(0, 1), metavar="SHARE",
        help="share of the training during which the rate rises (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--clip", type=number_reader(0, 1e6), metavar="NORM",
        help="clip the gradient to this norm; 0: no clipping (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--part-rates", action=argparse.BooleanOptionalAction,
        help="backbone, block, attention and gammas learn at rates of their own (default: yes)",
    )  # fmt: skip


def add_views(train: Parser) -> None:
    """Add what a view of a picture may be."""
    share = number_reader(0, 1)
    group = train.add_argument_group("views")
    group.add_argument(
        "--crop", type=integer_reader(32, 4096), nargs=2, metavar=("H", "W"),
        help="size of a view, in pixels (default: 360 480)",
    )  # fmt: skip
    group.add_argument(
        "--scales", type=read_scale_range, metavar="LOW-HIGH|S,S",
        help="a range of factors on the picture's size, or a list (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--own-scale", type=share, metavar="SHARE",
        help="share of the views at the picture's own scale (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--colours", choices=COLOUR_CHANGES,
        help="street: brightness, contrast, saturation, white balance and gamma; common: the first three, by up to "
        "half; none (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--rotation", type=number_reader(0, 180), metavar="DEGREES", help="largest angle (default: %(default)s)"
    )
    group.add_argument("--blur", type=share, metavar="SHARE", help="share of views blurred (default: %(default)s)")
    group.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="mirror half of the views (default: yes)"
    )
    group.add_argument(
        "--balance", type=share, metavar="SHARE", help="share of views chosen by class (default: %(default)s)"
    )


def add_auxiliary(group: argparse._ArgumentGroup) -> None:
    """Add the losses on features inside the network."""
    points = "; ".join(f"{point}: {words}" for point, words in AUXILIARY_WORDS.items())
    group.add_argument(
        "--auxiliary", type=read_weight, nargs="*", metavar="POINT=WEIGHT",
        help=f"auxiliary losses. {points}. Without a value: none (default: middle=0.4 context=0.4)",
    )  # fmt: skip
    group.add_argument(
        "--auxiliary-width", type=integer_reader(1, 4096), metavar="N",
        help="channels of their classifiers (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--auxiliary-stride", type=integer_reader(1, 32), metavar="N",
        help="subsample the labels by N in both directions (default: %(default)s)",
    )  # fmt: skip


def add_recipes(commands: Commands) -> None:
    """Add `recipes`."""
    recipes = add_command(
        commands, "recipes", "show how the papers trained",
        "Each number with its place in the paper, or what stands in for it. docs/recipes.md has the commands.",
    )  # fmt: skip
    recipes.add_argument(
        "names", nargs="*", type=read_recipe, metavar="NAME", help=f"{', '.join(RECIPES)} (default: all)"
    )
    recipes.add_argument(
        "--for", dest="data_set", choices=tuple(DATA_TITLES), metavar="SET",
        help=f"only the numbers for {', '.join(DATA_TITLES)} (default: all that differ)",
    )  # fmt: skip
    add_json(recipes)


def read_recipe(text: str) -> str:
    """Read the name of a recipe.

    Raises:
        argparse.ArgumentTypeError: there is no such recipe.
    """
    if text not in RECIPES:
        raise argparse.ArgumentTypeError(f"recipe '{text}' is unknown; use {', '.join(RECIPES)}")
    return text


def read_weight(text: str) -> tuple[str, float]:
    """Read a point and the weight of its auxiliary loss, such as `middle=0.4`.

    Raises:
        argparse.ArgumentTypeError: there is no such point, or the weight is out of range.
    """
    point, _, weight = text.partition("=")
    if point not in AUXILIARY_POINTS:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not an auxiliary loss; write POINT=WEIGHT with {', '.join(AUXILIARY_POINTS)}, "
            "such as middle=0.4"
        )
    return point, number_reader(0, 100)(weight)


def read_scale_range(text: str) -> Scales:
    """Read a range of scales, such as 0.5-2, or a list of them, such as 0.75,1,1.5.

    Raises:
        argparse.ArgumentTypeError: it is neither, a scale is out of range, or the larger one comes first.
    """
    between = re.fullmatch(rf"({NUMBER})-({NUMBER})", text.strip())
    parts = list(between.groups()) if between else text.split(",")
    read = number_reader(SMALLEST_SCALE, LARGEST_SCALE)
    try:
        values = tuple(read(part.strip()) for part in parts)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a range or list of scales from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}; write 0.5-2 "
            "or 1,2"
        ) from None
    if between and values[0] > values[1]:
        raise argparse.ArgumentTypeError(f"'{text}' begins with its larger scale; write the smaller one first")
    return Scales(values, bool(between))
