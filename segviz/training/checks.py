"""What can be known at the start of a training is checked there; and whether it is still finite, as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segviz.data.sample import DataError, Split, count_pixels, list_first
from segviz.models.registry import resolve_network
from segviz.text import count_words
from segviz.training.auxiliary_points import AUXILIARY_POINTS
from segviz.training.options import OPTIMIZERS, TrainOptions
from segviz.training.run import TrainingRun
from segviz.training.view_range import COLOUR_CHANGES


class DivergedError(RuntimeError):
    """A training whose loss or weights are not finite any more; the message names the step, the rate and the cure."""


def check_options(options: TrainOptions, processes: int) -> None:
    """Check that the options of a training go together, before anything is read.

    Raises:
        KeyError: there is no such network.
        ValueError: two options contradict each other, or one has no such value; the message names the cure.
    """
    resolve_network(options.model, options.options)
    names = (("optimizer", OPTIMIZERS), ("colours", COLOUR_CHANGES))
    for name, known in names:
        if getattr(options, name) not in known:
            raise ValueError(f"{name} '{getattr(options, name)}' is unknown; use {' or '.join(known)}")
    if unknown := [point for point in options.auxiliary if point not in AUXILIARY_POINTS]:
        raise ValueError(f"auxiliary losses have no point '{unknown[0]}'; use {', '.join(AUXILIARY_POINTS)}")
    if options.ohem and options.hard_share < 1:
        raise ValueError(
            f"--ohem {options.ohem:g} and --hard-share {options.hard_share:g} both choose the pixels that count; "
            "add --hard-share 1, or remove --ohem"
        )
    if options.batch % processes:
        raise ValueError(
            f"a batch of {options.batch} cannot be shared equally by {processes} processes; use a multiple of "
            f"{processes} for --batch"
        )
    if options.parts > options.batch // processes:
        raise ValueError(
            f"--parts {options.parts} is more than the {count_words(options.batch // processes, 'picture')} that a "
            "process has in each step; use fewer"
        )


def count_classes(split: Split) -> list[int]:
    """The number of pixels of each class."""
    return [int(number) for number in count_pixels(split.samples, len(split.classes.names)).sum(0)]


def check_labels_of(split: Split) -> None:
    """Check that a split has something to learn or to score.

    Raises:
        DataError: all pixels are void, or all belong to one of several classes.
    """
    counts, names = count_classes(split), split.classes.names
    present = [name for name, count in zip(names, counts, strict=True) if count]
    if not present:
        raise DataError(f"{split.name} split: every pixel is void; give it labels, or correct void in meta.json")
    if split.name == "train" and len(present) < min(2, len(names)):
        absent = [name for name in names if name not in present]
        raise DataError(
            f"{split.name} split: every labelled pixel is {present[0]}, and none is of "
            f"{', '.join(list_first(absent))}; save class indices from 0 to {len(names) - 1}"
        )


def join_data_errors(errors: Sequence[DataError]) -> DataError:
    """One error for those of several splits; what is wrong with all of them alike, as the folder, is told once."""
    different = {str(error): error for error in errors}
    if len(different) == 1:
        return errors[0]
    lines = [line for error in different.values() for line in (str(error).splitlines()[0], *error.faults)]
    return DataError("the splits to train on and to score cannot be used:", lines)


def describe_absent(split: Split) -> str:
    """A sentence about the classes without a pixel; empty if there is none."""
    absent = [name for name, count in zip(split.classes.names, count_classes(split), strict=True) if not count]
    if not absent:
        return ""
    them = "it" if len(absent) == 1 else "them"
    return f"{split.name} split: no pixel is of {', '.join(list_first(absent))}, so the model cannot learn {them}"


def check_loss(run: TrainingRun, losses: Sequence[Tensor], step: int, state: Path) -> float:
    """The mean of the latest losses, after a check that they and the weights are finite.

    Raises:
        DivergedError: they are not.
    """
    loss = float(torch.stack(list(losses)).mean()) if losses else 0.0
    if np.isfinite(loss) and run.is_finite():
        return loss
    kept = f"{state} has the last good one, for --resume" if state.is_file() else "it had saved no state yet"
    raise DivergedError(
        f"the {'weights' if np.isfinite(loss) else 'loss'} overflowed by step {step}, at a learning rate of "
        f"{run.rate:.2g}; train with a smaller --rate ({kept})"
    )
