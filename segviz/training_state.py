"""What an interrupted training leaves behind to go on from, and the log that it keeps."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from segviz.checkpoint import replace, replacing
from segviz.data.folder import DataError


@dataclass(frozen=True)
class LogRow:
    """A line of a training's log.

    Attributes:
        step: how many steps were done.
        minutes: since the start, pauses left out.
        rate: the learning rate of the newest step.
        loss: the mean over the steps since the line before.
        val_miou: mean IoU on val of the averaged weights, in [0, 1]; None where it was not measured.
    """

    step: int
    minutes: float
    rate: float
    loss: float
    val_miou: float | None = None


def write_log(path: Path, rows: Sequence[LogRow]) -> None:
    """The log as CSV, a line a row; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([one.name for one in fields(LogRow)])
    for row in rows:
        writer.writerow(["" if value is None else f"{value:.6g}" for value in astuple(row)])
    replace(path, text.getvalue().encode())


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Keep all that `--resume` needs: written, synced, then renamed, so never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save(state, file)


def remove_state(path: Path) -> None:
    """The run is done: remove its state, and what a kill in the middle of saving it may have left."""
    for one in (path, path.with_name(path.name + ".part")):
        one.unlink(missing_ok=True)


def read_state(path: Path, identity: str) -> dict[str, Any]:
    """The state of an interrupted run.

    Raises:
        DataError: there is nothing to resume, it is damaged, or it was another run.
    """
    if not path.is_file():
        raise DataError(f"there is no {path} to resume from; start without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved = state["identity"]
    except Exception:  # torch raises whatever damaged bytes lead to
        raise DataError(f"{path} is damaged; delete it and start without --resume") from None
    if saved != identity:
        raise DataError(f"{path} is of a run with other options; repeat its command, or start without --resume")
    return state
