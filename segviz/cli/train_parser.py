"""The options of `train`."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

from segviz.cli.arguments import integer_reader, number_reader, read_minutes, read_model_name
from segviz.cli.shared_options import Commands, Parser, add_command, add_device
from segviz.training.cue_options import CUE_KIND_NAMES, CueOptions
from segviz.training.options import TrainOptions


def add_train(commands: Commands) -> None:
    """Add `train`."""
    train = add_command(
        commands, "train", "train a model and write its checkpoint", "Ctrl-C keeps the state for --resume."
    )
    train.add_argument("--model", type=read_model_name, required=True, metavar="NAME", help="a name from `models`")
    train.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the data set, with train and val"
    )
    train.add_argument(
        "--out", type=Path, metavar="FILE", help="the checkpoint to write (default: checkpoints/NAME.safetensors)"
    )
    train.add_argument(
        "--init", type=Path, metavar="FILE", help="weights to start from: a checkpoint, or a timm backbone's weights"
    )
    train.add_argument("--resume", action="store_true", help="continue an interrupted run")
    add_schedule(train)
    add_loss(train)
    train.set_defaults(**{one.name: one.default for one in fields(TrainOptions) if one.default is not MISSING})
    add_device(train)


def add_train_cues(commands: Commands) -> None:
    """Add `train-cues`."""
    train = add_command(
        commands, "train-cues", "train the tiny networks of the Cues page",
        "One network for each block and kind of cue. Files that are there with the same settings stay as they are, so "
        "the same command goes on where a run was stopped.",
    )  # fmt: skip
    train.add_argument(
        "--blocks", type=read_model_name, nargs="+", metavar="NAME", help="names from `models` (default: all)"
    )
    train.add_argument(
        "--kinds", choices=CUE_KIND_NAMES, nargs="+", metavar="KIND", default=list(CUE_KIND_NAMES),
        help=f"{', '.join(CUE_KIND_NAMES)} (default: all)",
    )  # fmt: skip
    train.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("checkpoints/cues"), help="folder (default: %(default)s)"
    )
    train.add_argument("--steps", type=integer_reader(1), help="steps at most (default: %(default)s)")
    train.add_argument("--batch", type=integer_reader(1, 1024), help="pictures per step (default: %(default)s)")
    train.add_argument("--seed", type=integer_reader(0, 4000), help="random seed (default: %(default)s)")
    train.set_defaults(steps=CueOptions.steps, batch=CueOptions.batch, seed=CueOptions.seed)


def add_schedule(train: Parser) -> None:
    """Add what `train` shows the network, and for how long."""
    share = number_reader(0, 1)
    train.add_argument("--steps", type=integer_reader(1), help="number of steps (default: %(default)s)")
    train.add_argument("--batch", type=integer_reader(1, 1024), help="pictures per step (default: %(default)s)")
    train.add_argument(
        "--crop", type=integer_reader(32, 4096), nargs=2, metavar=("H", "W"),
        help="size of a view, in pixels (default: 360 480)",
    )  # fmt: skip
    train.add_argument("--rate", type=number_reader(0, 1), help="highest learning rate (default: %(default)s)")
    train.add_argument(
        "--budget", type=read_minutes, metavar="TIME", help="end after this time, such as 90s, 9m or 1.5h"
    )
    train.add_argument("--seed", type=integer_reader(0), help="random seed (default: %(default)s)")
    train.add_argument(
        "--scenes", type=integer_reader(0), metavar="N", help="drawn scenes to mix in (default: %(default)s)"
    )
    train.add_argument("--scene-share", type=share, help="share of drawn scenes in a batch (default: %(default)s)")
    train.add_argument("--balance", type=share, help="share of views chosen by class (default: %(default)s)")
    train.add_argument(
        "--validate", type=integer_reader(0), metavar="STEPS",
        help="steps between scores on val; 0: only at the end (default: %(default)s)",
    )  # fmt: skip


def add_loss(train: Parser) -> None:
    """Add what `train` minimises, and which weights it updates and keeps."""
    train.add_argument(
        "--hard-share", type=number_reader(0, 1), help="share of pixels, the hardest, that count (default: %(default)s)"
    )
    train.add_argument(
        "--jaccard", type=number_reader(0, 10), help="weight of the soft Jaccard loss (default: %(default)s)"
    )
    train.add_argument("--smoothing", type=number_reader(0, 0.9), help="label smoothing (default: %(default)s)")
    train.add_argument(
        "--average", type=number_reader(0, 0.99999),
        help="decay of the averaged weights; 0: no average (default: %(default)s)",
    )  # fmt: skip
    train.add_argument(
        "--gamma", type=number_reader(-10, 10),
        help="initial value of gammas that --init does not have (default: %(default)s)",
    )  # fmt: skip
    train.add_argument(
        "--freeze-backbone", action="store_true", help="train everything but the backbone, which is quicker"
    )
    train.add_argument(
        "--output-stride", type=int, choices=(8, 16, 32), help="output stride of the backbone (default: the model's)"
    )
