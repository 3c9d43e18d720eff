"""The commands of `python -m segviz` and their options.

This module stays quick to import: it knows no torch and no figure library, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from segviz.cli.arguments import (
    ALL_MODELS,
    COLOUR_NAMES,
    EXPORT_FORMATS,
    FIGURE_NAMES,
    LOOK_NAMES,
    SCALE_NAMES,
    integer_reader,
    read_figure_path,
    read_head_choice,
    read_model,
)
from segviz.cli.bench_parser import add_bench
from segviz.cli.data_options import add_class_map, add_damaged, add_datasets, add_split_pictures
from segviz.cli.network_options import add_any_model
from segviz.cli.own_models import add_own_models
from segviz.cli.protocol_options import add_protocol
from segviz.cli.recipe_options import add_recipes
from segviz.cli.shared_options import (
    Commands,
    Parser,
    add_command,
    add_device,
    add_images,
    add_json,
    add_places,
    add_scale,
    add_size,
    add_target,
    all_parsers,
)
from segviz.cli.spread_options import add_resume, add_resume_file, add_spread
from segviz.cli.table_parser import add_table
from segviz.cli.train_parser import add_train, add_train_cues


def build_parser() -> Parser:
    """Build the parser of all commands."""
    root = Parser(prog="python -m segviz", description="Look inside the attention of semantic segmentation models.")
    commands = root.add_subparsers(dest="subcommand", required=True, metavar="COMMAND", parser_class=Parser)
    for add in (
        add_app,
        add_predict,
        add_attend,
        add_watch,
        add_figure,
        add_evaluate,
        add_train,
        add_train_cues,
        add_recipes,
        add_datasets,
        add_bench,
        add_table,
        add_models,
    ):
        add(commands)
    return root


def typed_options(words: Sequence[str]) -> frozenset[str]:
    """The names of the options that a valid command line sets itself; the others have their defaults."""
    root = build_parser()
    for parser in all_parsers(root):
        parser._defaults.clear()
        for action in parser._actions:
            action.default = argparse.SUPPRESS
    return frozenset(vars(root.parse_args(words)))


def add_app(commands: Commands) -> None:
    """Add `app`."""
    app = add_command(commands, "app", "start the browser app", "Arguments after `--` are passed on to Streamlit.")
    app.add_argument(
        "--port",
        type=integer_reader(1, 65535),
        help="port to listen on (default: STREAMLIT_SERVER_PORT, or else 8501)",
    )
    add_own_models(app)


def add_predict(commands: Commands) -> None:
    """Add `predict`."""
    predict = add_command(
        commands, "predict", "segment pictures", "Writes labels, overlay and confidence of each picture."
    )
    add_images(predict)
    add_any_model(predict)
    add_split_pictures(predict)
    add_protocol(
        predict,
        "with one of these, labels come from softmax scores averaged over all views, as `evaluate` scores them, and "
        "--input-size is the size at scale 1 (default: the pictures' own)",
    )
    add_target(predict, "output folder; created if missing")
    add_json(predict)
    add_resume(predict)
    add_spread(predict, "the pictures")


def add_attend(commands: Commands) -> None:
    """Add `attend`."""
    attend = add_command(
        commands,
        "attend",
        "write attention maps",
        "One picture per map and pixel, and the numbers behind them; --json prints statistics of each map. A network "
        "whose maps are found as it runs has one map per layer; `watch` lists its layers.",
    )
    add_images(attend)
    add_any_model(attend)
    add_places(attend)
    attend.add_argument("--map", action="append", metavar="NAME", help="only this map; may be repeated")
    add_layers(attend, "of a network whose maps are found as it runs: ")
    attend.add_argument(
        "--look", choices=LOOK_NAMES, nargs="+", metavar="LOOK",
        help=f"{', '.join(LOOK_NAMES)} (default: all that a map has)",
    )  # fmt: skip
    add_scale(attend, "all maps of weights")
    attend.add_argument(
        "--format", choices=EXPORT_FORMATS, nargs="+", default=["png", "npz"], metavar="FORMAT",
        help=f"{', '.join(EXPORT_FORMATS)} (default: png npz)",
    )  # fmt: skip
    add_size(attend, 1)
    attend.add_argument(
        "--influence", action="store_true",
        help="add how strongly each cell moves the answer at each pixel, through the block's context (a gradient)",
    )  # fmt: skip
    attend.add_argument("--page", action="store_true", help="put all maps on one page instead of a file each")
    add_target(attend, "output folder; or FILE.png, .svg, .pdf, .npz or .csv for one page")
    add_json(attend)
    add_resume(attend)
    add_spread(attend, "the pictures")


def add_layers(command: Parser, whose: str = "") -> None:
    """Add `--layers` and `--head`; `whose` begins their help."""
    command.add_argument(
        "--layers", nargs="+", metavar="PATTERN",
        help=f"{whose}layers whose maps are kept, such as 'blocks.*' (default: the last)",
    )  # fmt: skip
    command.add_argument(
        "--head", type=read_head_choice, default="mean", metavar="HEAD",
        help=f"{whose}a head's number, mean or largest (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--find-windows", action="store_true",
        help=f"{whose}find windows that nothing in the network describes, with 24 further forward passes",
    )  # fmt: skip


def add_watch(commands: Commands) -> None:
    """Add `watch`."""
    watch = add_command(
        commands,
        "watch",
        "show the attention of any network",
        "One forward pass of each picture finds it; prints a table of what was found, what can be chosen, and what was "
        "passed over. With --out or --zip, one picture per kept map and pixel, and the numbers behind them; `attend` "
        "writes these too, on one page if wanted or in a cluster, and can resume a stopped run.",
    )
    add_images(watch)
    add_any_model(watch)
    add_layers(watch)
    watch.add_argument(
        "--verify-places", action="store_true",
        help="check with a second forward pass that the cells of each kept map lie where the picture says",
    )  # fmt: skip
    add_places(watch)
    watch.add_argument(
        "--scale", choices=SCALE_NAMES, default="linear", help="colour scale of weights (default: %(default)s)"
    )
    watch.add_argument("--colours", choices=COLOUR_NAMES, default="viridis", help="colour map (default: %(default)s)")
    watch.add_argument(
        "--format", choices=EXPORT_FORMATS, nargs="+", default=["png", "npz"], metavar="FORMAT",
        help=f"{', '.join(EXPORT_FORMATS)} (default: png npz)",
    )  # fmt: skip
    add_size(watch, 1)
    add_target(watch, "output folder; created if missing", required=False)
    add_json(watch)


def add_figure(commands: Commands) -> None:
    """Add `figure`."""
    figure = add_command(
        commands, "figure", "draw a figure from the papers",
        "fla-5: classes by model (FLANet Fig. 5); fla-6: attended features (FLANet Fig. 6); atta-1: speed against "
        "mIoU (AttaNet Fig. 1); atta-6, atta-7: without and with SAM, or AFM (AttaNet Fig. 6, 7); atta-9: two strips "
        "(AttaNet Fig. 9); psa-3: over-complete maps (PSANet Fig. 3); psa-5: collect, and both (PSANet Fig. 5); psa-6: "
        "collect and distribute (PSANet Fig. 6); snl: sampled places (SSANet); compare: one place in every model.",
    )  # fmt: skip
    figure.add_argument("name", choices=FIGURE_NAMES, metavar="FIGURE", help=", ".join(FIGURE_NAMES))
    add_images(figure, "; for atta-1 the output of `bench models --json`, in a file")
    figure.add_argument(
        "--out", type=read_figure_path, required=True, metavar="FILE",
        help="FILE.png, .svg or .pdf; .npz or .csv for the numbers",
    )  # fmt: skip
    add_places(figure)
    figure.add_argument(
        "--columns", type=integer_reader(0), nargs="+", metavar="X", help="atta-9: image columns, in pixels"
    )
    figure.add_argument(
        "--models", type=read_model, nargs="+", metavar="MODEL", help="models to use instead of the paper's"
    )
    figure.add_argument(
        "--feature", choices=("output", "context", "both"), default="output",
        help="fla-6: the features to average (default: %(default)s)",
    )  # fmt: skip
    figure.add_argument(
        "--labels", type=Path, nargs="+", metavar="PNG",
        help="fla-5, atta-6, atta-7, atta-9 and psa-5: the ground truth of each picture",
    )  # fmt: skip
    figure.add_argument(
        "--width", choices=("single", "double"), default="double", help="one column or two (default: %(default)s)"
    )
    add_size(figure, 2)
    figure.add_argument("--no-letters", dest="letters", action="store_false", help="leave out a, b, c before titles")
    figure.add_argument("--caption", action="store_true", help="draw model, pixels and scales below the figure")
    add_scale(figure, "the maps of a row (psa-6 and compare)")
    add_device(figure)


def add_evaluate(commands: Commands) -> None:
    """Add `evaluate`."""
    evaluate = add_command(
        commands, "evaluate", "score a network",
        "On a split of a data set, on drawn scenes, or on both. Whole pictures at their own size, unless the options "
        "of a protocol say otherwise; a published network whose authors slide crops gets their crops.",
    )  # fmt: skip
    add_any_model(
        evaluate, ALL_MODELS, "the size of pictures at scale 1, before crops are cut (default: the pictures' own)"
    )
    evaluate.add_argument("--data", type=Path, metavar="DIR", help="folder of the data set")
    evaluate.add_argument("--split", default="val", help="split of the data set (default: %(default)s)")
    add_class_map(evaluate)
    add_damaged(evaluate)
    add_protocol(evaluate, "softmax scores are averaged over all views", multi_scale=True)
    evaluate.add_argument(
        "--without-context", action="store_true", help="also score with the block's context switched off"
    )
    evaluate.add_argument(
        "--scenes", type=integer_reader(1), metavar="N", help="also score on N drawn scenes that training never used"
    )
    evaluate.add_argument(
        "--maps", action="store_true", help="also measure where the block looks, beside even and random weights"
    )
    evaluate.add_argument("--record", action="store_true", help="store the scores in the checkpoint's record")
    add_json(evaluate)
    add_resume_file(evaluate)
    add_spread(evaluate, "the pictures")


def add_models(commands: Commands) -> None:
    """Add `models`."""
    models = add_command(
        commands, "models", "list the models", "Scores are mIoU in percent, from the checkpoints' records."
    )
    output = models.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--markdown", action="store_true", help="print checkpoints/MODELS.md")
    output.add_argument("--scores", action="store_true", help="print the README's table of scores")
    output.add_argument(
        "--record-of", type=Path, metavar="FILE", help="print a checkpoint's record, for keeping an additional seed"
    )
    output.add_argument("--networks", action="store_true", help="list the papers' networks")
    output.add_argument("--options", metavar="NAME", help="list the options of a model or network")
