"""What can be known at the start of a training is checked there; and whether it is still finite, as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segviz.data.dataset import DataError, Split, list_first
from segviz.training.run import TrainingRun


class DivergedError(RuntimeError):
    """A training whose loss or weights are not finite any more; the message names the step, the rate and the cure."""


def count_classes(split: Split) -> list[int]:
    """The number of pixels of each class."""
    count = len(split.classes.names)
    pixels = [np.bincount(sample.labels.ravel(), minlength=256)[:count] for sample in split.samples]
    return [int(number) for number in np.sum(pixels, 0)]


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
            f"{split.name} split: every labelled pixel is {present[0]}, and {', '.join(list_first(absent))} "
            f"{'has' if len(absent) == 1 else 'have'} no pixel; save class indices from 0 to {len(names) - 1}"
        )


def describe_absent(split: Split) -> str:
    """A sentence about the classes without a pixel; empty if there is none."""
    absent = [name for name, count in zip(split.classes.names, count_classes(split), strict=True) if not count]
    if not absent:
        return ""
    return f"{split.name} split: {', '.join(list_first(absent))} without a pixel, so the model cannot learn it"


def check_loss(run: TrainingRun, losses: Sequence[Tensor], step: int, rate: float, state: Path) -> float:
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
        f"{rate:.2g}; train with a smaller --rate ({kept})"
    )
