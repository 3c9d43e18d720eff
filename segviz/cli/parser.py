"""The options of each command."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import NoReturn, TypeAlias

from segviz.cli.errors import ALL, FORMATS, MAX_ERROR_LENGTH
from segviz.text import plain_text
from segviz.training.options import TrainOptions

FIGURES = ("fla-5", "fla-6", "atta-9", "psa-6", "snl", "compare")
LOOKS = ("attends_to", "attended_by", "strip", "points")
SCALES = ("linear", "log", "percentile")
COLOURS = ("viridis", "cividis", "magma", "gray")
MINUTES = {"s": 1 / 60, "m": 1.0, "h": 60.0}


class Parser(argparse.ArgumentParser):
    """argparse, but with errors of one sentence."""

    def error(self, message: str) -> NoReturn:
        """One sentence on stderr, and exit code 2."""
        self.exit(2, f"segviz: {plain_text(message, MAX_ERROR_LENGTH)}; see `{self.prog} --help`\n")


def build_parser() -> Parser:
    """All commands and their options."""
    root = Parser(prog="python -m segviz", description="Look inside the attention of semantic segmentation models.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for add in (add_app, add_predict, add_attend, add_figure, add_evaluate, add_train, add_bench, add_models):
        add(commands)
    return root


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_app(commands: Commands) -> None:
    """`app`."""
    app = new(commands, "app", "start the browser app", "What follows `--` is passed to Streamlit.")
    app.add_argument("--port", type=whole(1, 65535), default=8501, help="where it listens (default: %(default)s)")


def add_predict(commands: Commands) -> None:
    """`predict`."""
    predict = new(commands, "predict", "segment pictures", "Writes labels, overlay and confidence for each picture.")
    add_images(predict)
    add_model(predict)
    add_target(predict, "folder for the files; made if missing")
    add_json(predict)


def add_attend(commands: Commands) -> None:
    """`attend`."""
    attend = new(
        commands,
        "attend",
        "write the attention maps of places",
        "One picture a map and place, the numbers behind them, and with --json what each map does.",
    )
    add_images(attend)
    add_model(attend)
    add_places(attend)
    attend.add_argument("--map", action="append", metavar="NAME", help="this map alone; may be repeated")
    attend.add_argument(
        "--look", choices=LOOKS, nargs="+", metavar="LOOK", help=f"{', '.join(LOOKS)} (default: all that a map has)"
    )
    add_scale(attend, "all maps of weights")
    attend.add_argument(
        "--format", choices=FORMATS, nargs="+", default=["png", "npz"], metavar="FORM",
        help=f"{', '.join(FORMATS)} (default: png npz)",
    )  # fmt: skip
    add_size(attend, 1)
    attend.add_argument("--page", action="store_true", help="all maps on one page in place of a file each")
    add_target(attend, "folder for the files; or FILE with one of the endings, for a page in that form")
    add_json(attend)


def add_figure(commands: Commands) -> None:
    """`figure`."""
    figure = new(
        commands, "figure", "draw a figure of the papers",
        "fla-5: classes by model (FLANet Fig. 5); fla-6: attended features (FLANet Fig. 6); atta-9: two strips "
        "(AttaNet Fig. 9); psa-6: collect and distribute (PSANet Fig. 6); snl: sampled places (SSANet); compare: one "
        "place in every model.",
    )  # fmt: skip
    figure.add_argument("name", choices=FIGURES, metavar="FIGURE", help=", ".join(FIGURES))
    add_images(figure)
    figure.add_argument(
        "--out", type=figure_file, required=True, metavar="FILE", help="FILE.png, .svg, .pdf, or for numbers .npz, .csv"
    )
    add_places(figure)
    figure.add_argument("--columns", type=whole(0), nargs="+", metavar="X", help="atta-9: image columns, in pixels")
    figure.add_argument("--models", type=model, nargs="+", metavar="MODEL", help="other models than the paper's")
    figure.add_argument(
        "--feature", choices=("output", "context", "both"), default="output", help="fla-6: what is averaged"
    )
    figure.add_argument("--labels", type=Path, nargs="+", metavar="PNG", help="fla-5: true classes of each picture")
    figure.add_argument(
        "--width", choices=("single", "double"), default="double", help="one column or both (default: %(default)s)"
    )
    add_size(figure, 2)
    figure.add_argument("--no-letters", dest="letters", action="store_false", help="no a, b, c before titles")
    figure.add_argument("--caption", action="store_true", help="model, pixels and scales below")
    add_scale(figure, "psa-6, compare: the maps of a row")
    add_device(figure)


def add_evaluate(commands: Commands) -> None:
    """`evaluate`."""
    evaluate = new(commands, "evaluate", "score a model", "On a split of a data set, on drawn scenes, or on both.")
    evaluate.add_argument(
        "--model", type=model_or_all, required=True, help=f"a name from `models`, a checkpoint's path, or {ALL}"
    )
    add_device(evaluate)
    evaluate.add_argument("--data", type=Path, metavar="DIR", help="the data set's folder")
    evaluate.add_argument("--split", default="val", help="a split of the data set (default: %(default)s)")
    evaluate.add_argument(
        "--multi-scale", action="store_true", help="score also with the mean over six scales and their mirror images"
    )
    evaluate.add_argument("--scales", type=scales, metavar="S,S", help="other scales, such as 0.75,1,1.25")
    evaluate.add_argument(
        "--without-context", action="store_true", help="score also with the block's context switched off"
    )
    evaluate.add_argument(
        "--scenes", type=whole(1), metavar="N", help="also score on N drawn scenes that no training saw"
    )
    evaluate.add_argument("--record", action="store_true", help="keep the scores in the checkpoint's own record")
    add_json(evaluate)


def add_train(commands: Commands) -> None:
    """`train`."""
    train = new(commands, "train", "train a model and write its checkpoint", "Ctrl-C keeps the state for --resume.")
    train.add_argument("--model", type=known_model, required=True, metavar="NAME", help="a name from `models`")
    train.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the data set's folder, with train and val"
    )
    train.add_argument(
        "--out", type=Path, metavar="FILE", help="the checkpoint (default: checkpoints/NAME.safetensors)"
    )
    train.add_argument(
        "--init", type=Path, metavar="FILE", help="weights to start from: a checkpoint or a timm backbone's"
    )
    train.add_argument("--steps", type=whole(1), help="how many (default: %(default)s)")
    train.add_argument("--batch", type=whole(1, 1024), help="pictures a step (default: %(default)s)")
    train.add_argument(
        "--crop", type=whole(32, 4096), nargs=2, metavar=("H", "W"), help="pixels of a view (default: 360 480)"
    )
    train.add_argument("--rate", type=number(0, 1), help="the largest learning rate (default: %(default)s)")
    train.add_argument("--budget", type=minutes, metavar="TIME", help="end after this time, such as 90s, 9m or 1.5h")
    train.add_argument("--seed", type=whole(0), help="of all chance (default: %(default)s)")
    train.add_argument("--scenes", type=whole(0), metavar="N", help="drawn scenes to mix in (default: %(default)s)")
    share = number(0, 1)
    train.add_argument("--scene-share", type=share, help="their share of a batch (default: %(default)s)")
    train.add_argument("--balance", type=share, help="share of views chosen by class (default: %(default)s)")
    train.add_argument(
        "--hard-share", type=share, help="share of pixels, the hardest, that count (default: %(default)s)"
    )
    train.add_argument("--jaccard", type=number(0, 10), help="weight of the soft Jaccard loss (default: %(default)s)")
    train.add_argument("--smoothing", type=number(0, 0.9), help="of labels (default: %(default)s)")
    train.add_argument(
        "--average", type=number(0, 0.99999), help="decay of the averaged weights; 0: none (default: %(default)s)"
    )
    train.add_argument(
        "--validate", type=whole(0), metavar="STEPS", help="between scores on val; 0: at the end (default: %(default)s)"
    )
    train.add_argument(
        "--gamma", type=number(-10, 10), help="where gammas begin that --init does not have (default: %(default)s)"
    )
    train.add_argument("--freeze-backbone", action="store_true", help="train all but the backbone, which is quicker")
    train.add_argument("--output-stride", type=int, choices=(8, 16, 32), help="another stride than the model's own")
    train.set_defaults(**{one.name: one.default for one in fields(TrainOptions) if one.default is not MISSING})
    train.add_argument("--resume", action="store_true", help="go on from the state of an interrupted run")
    add_device(train)


def add_bench(commands: Commands) -> None:
    """`bench`."""
    bench = new(
        commands, "bench", "measure speed and memory",
        "blocks: the attention blocks beside FLANet's Table 3; models: the bundled models on one picture, maps kept or "
        "not; viewer: pointer to drawn frame in a headless browser.",
    )  # fmt: skip
    bench.add_argument(
        "subject", choices=("blocks", "models", "viewer"), metavar="SUBJECT", help="blocks, models or viewer"
    )
    bench.add_argument(
        "--size",
        type=whole(1, 4096),
        nargs=3,
        default=(96, 96, 512),
        metavar=("H", "W", "C"),
        help="blocks: (default: 96 96 512)",
    )
    bench.add_argument("--rounds", type=whole(1, 1000), default=5, help="after one to warm up (default: %(default)s)")
    bench.add_argument("--only", nargs="+", metavar="NAME", help="these blocks or models alone")
    bench.add_argument("--url", help="viewer: an app that runs already; one is started if not given")
    bench.add_argument(
        "--record", action="store_true", help="models: keep the costs in the checkpoints' records (auto: the CPU's)"
    )
    add_device(bench)
    add_json(bench)


def add_models(commands: Commands) -> None:
    """`models`."""
    models = new(commands, "models", "list the models", "Scores are mIoU in percent, from the checkpoints' records.")
    form = models.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print checkpoints/MODELS.md")
    form.add_argument("--scores", action="store_true", help="print the README's table of scores")
    form.add_argument("--record-of", type=Path, metavar="FILE", help="print a checkpoint's record, to keep a seed by")


def new(commands: Commands, name: str, summary: str, more: str) -> Parser:
    """A command; the function of the same name in commands/ runs it."""
    command: Parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}")
    command.set_defaults(function=name)
    return command


def add_images(command: Parser) -> None:
    """The positional pictures."""
    command.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a picture's path, a folder of pictures, or scene:SEED, a drawn scene",
    )


def add_scale(command: Parser, together: str) -> None:
    """`--scale`, `--shared-scale` and `--colours`."""
    command.add_argument("--scale", choices=SCALES, default="linear", help="of weights (default: %(default)s)")
    command.add_argument("--shared-scale", action="store_true", help=f"one scale for {together}")
    command.add_argument("--colours", choices=COLOURS, default="viridis", help="colour map (default: %(default)s)")


def add_model(command: Parser) -> None:
    """`--model` and `--device`."""
    command.add_argument("--model", type=model, required=True, help="a name from `models`, or a checkpoint's path")
    add_device(command)


def add_device(command: Parser) -> None:
    """`--device`."""
    command.add_argument(
        "--device", default="auto", help="cpu, cuda or auto (default: %(default)s, a GPU if there is one)"
    )


def add_places(command: Parser) -> None:
    """`--at`."""
    command.add_argument(
        "--at",
        type=place,
        action="append",
        metavar="Y,X",
        help="an image pixel; may be repeated (default: chosen from the labels)",
    )


def add_size(command: Parser, usual: int) -> None:
    """`--size`."""
    command.add_argument(
        "--size",
        type=int,
        choices=(1, 2, 4),
        default=usual,
        help="of PNGs, times 144 pixels an inch (default: %(default)s)",
    )


def add_target(command: Parser, meaning: str) -> None:
    """`--out` and `--zip`, one of which is needed."""
    target = command.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, metavar="DIR", help=meaning)
    target.add_argument("--zip", type=Path, metavar="FILE", help="a ZIP for all files")


def add_json(command: Parser) -> None:
    """`--json`."""
    command.add_argument("--json", action="store_true", help="print JSON instead of text")


def model(text: str) -> str:
    """A model's name, or the path of a checkpoint."""
    with suppress(OSError):  # such as too long a name
        if text.endswith(".safetensors") or Path(text).is_file():
            return text
    return known_model(text)


def model_or_all(text: str) -> str:
    """As `model`, or the word for all bundled models."""
    return text if text == ALL else model(text)


def known_model(text: str) -> str:
    """A model's name."""
    from segviz.models.registry import SPECS

    if text not in SPECS:
        raise argparse.ArgumentTypeError(f"model '{text}' is unknown; use {', '.join(SPECS)}")
    return text


def place(text: str) -> tuple[int, int]:
    """An image pixel `Y,X`."""
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6})", text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no place; write Y,X in whole pixels, such as 120,300")
    return int(match[1]), int(match[2])


def scales(text: str) -> tuple[float, ...]:
    """Factors on a picture's size, `S[,S...]`."""
    return tuple(number(0.1, 4)(part.strip()) for part in text.split(","))


def figure_file(text: str) -> Path:
    """A file whose ending says its form."""
    path = Path(text)
    if path.suffix.lower().lstrip(".") not in FORMATS:
        raise argparse.ArgumentTypeError(f"'{text}' has no known ending; use .{', .'.join(FORMATS)}")
    return path


def minutes(text: str) -> float:
    """A time such as 90s, 9m or 1.5h, in minutes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    value = float(match[1]) * MINUTES[match[2] or "m"] if match else 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no time; write for example 90s, 9m or 1.5h")
    return value


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(
                f"{value} is out of range; use {low} {'or more' if high is None else f'to {high}'}"
            )
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A reader of finite numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is out of range; use a number from {low:g} to {high:g}")
        return value

    return read
