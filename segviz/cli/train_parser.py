"""The options of `train`."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, fields
from pathlib import Path

from segviz.cli.arguments import integer_reader, number_reader, read_minutes, read_model_name, read_network_name
from segviz.cli.data_options import add_class_map, add_damaged
from segviz.cli.recipe_options import add_auxiliary, add_optimizer, add_recipe, add_views
from segviz.cli.shared_options import Commands, Parser, add_command, add_device
from segviz.training.cue_options import CUE_KIND_NAMES, CueOptions
from segviz.training.options import TrainOptions


def add_train(commands: Commands) -> None:
    """Add `train`."""
    train = add_command(
        commands, "train", "train a network and write its checkpoint",
        "Ctrl-C keeps the state for --resume. Defaults are those of --recipe segviz. On several GPUs: torchrun "
        "--nproc_per_node N -m segviz train ...; --batch is then the total over all processes.",
    )  # fmt: skip
    train.add_argument(
        "--model", type=read_network_name, required=True, metavar="NAME",
        help="a name from `models`, or a network of the papers (docs/networks.md)",
    )  # fmt: skip
    train.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the data set, with train and val"
    )
    train.add_argument("--split", metavar="NAME", help="what to train on, such as train+val (default: %(default)s)")
    add_class_map(train)
    add_damaged(train)
    train.add_argument(
        "--out", type=Path, metavar="FILE", help="the checkpoint to write (default: checkpoints/NAME.safetensors)"
    )
    train.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="weights to start from: a checkpoint, a backbone's weights, or the word imagenet to fetch them",
    )
    train.add_argument("--resume", action="store_true", help="continue an interrupted run")
    train.add_argument(
        "--overwrite", action="store_true", help="replace a checkpoint, or the state of an interrupted run"
    )
    add_recipe(train)
    add_schedule(train)
    add_views(train)
    add_optimizer(train)
    add_loss(train)
    train.set_defaults(**{one.name: one.default for one in fields(TrainOptions) if one.default is not MISSING})
    add_device(train)


def add_train_cues(commands: Commands) -> None:
    """Add `train-cues`."""
    train = add_command(
        commands, "train-cues", "train the tiny networks of the Cues page",
        "One network for each block and kind of cue. Files that are there with the same settings stay as they are: "
        "run the command again to continue a stopped run.",
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
    group = train.add_argument_group("schedule")
    group.add_argument("--steps", type=integer_reader(1), help="number of steps (default: %(default)s)")
    group.add_argument(
        "--epochs", type=number_reader(0.001, 1e5), help="passes over the training set, in place of --steps"
    )
    group.add_argument("--batch", type=integer_reader(1, 1024), help="pictures per step (default: %(default)s)")
    group.add_argument(
        "--parts", type=integer_reader(1, 1024),
        help="process each batch in this many parts, which takes less memory (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--budget", type=read_minutes, metavar="TIME", help="end after this time, such as 90s, 9m or 1.5h"
    )
    group.add_argument("--seed", type=integer_reader(0), help="random seed (default: %(default)s)")
    group.add_argument(
        "--scenes", type=integer_reader(0), metavar="N", help="drawn scenes to mix in (default: %(default)s)"
    )
    share = number_reader(0, 1)
    group.add_argument(
        "--scene-share", type=share, metavar="SHARE", help="share of drawn scenes in a batch (default: %(default)s)"
    )
    group.add_argument(
        "--validate", type=integer_reader(0), metavar="STEPS",
        help="steps between scores on val; 0: only at the end (default: %(default)s)",
    )  # fmt: skip


def add_loss(train: Parser) -> None:
    """Add what `train` minimises, and which weights it updates and keeps."""
    group = train.add_argument_group("loss and weights")
    group.add_argument(
        "--class-weights", action=argparse.BooleanOptionalAction, help="rare classes weigh more (default: yes)"
    )
    group.add_argument(
        "--hard-share",
        type=number_reader(0, 1),
        metavar="SHARE",
        help="share of pixels that enter the loss: those with the largest loss (default: %(default)s)",
    )
    group.add_argument(
        "--ohem", type=number_reader(0, 1), metavar="PROBABILITY",
        help="count only pixels whose true class gets less than this probability, such as 0.7, and at least a "
        "sixteenth of all; 0: all (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--jaccard",
        type=number_reader(0, 10),
        metavar="WEIGHT",
        help="weight of the soft Jaccard loss (default: %(default)s)",
    )
    group.add_argument("--smoothing", type=number_reader(0, 0.9), help="label smoothing (default: %(default)s)")
    add_auxiliary(group)
    group.add_argument(
        "--average", type=number_reader(0, 0.99999), metavar="DECAY",
        help="decay of the averaged weights; 0: no average (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--gamma", type=number_reader(-10, 10), metavar="NUMBER",
        help="initial value of gammas that --init does not have (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--freeze-backbone", action="store_true", help="train everything but the backbone, which is quicker"
    )
    group.add_argument(
        "--output-stride",
        type=int,
        choices=(4, 8, 16, 32),
        help="output stride of the backbone (default: the model's); 4 for HRNet alone",
    )
