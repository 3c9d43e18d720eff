"""Learning curves: the CSV beside a checkpoint."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from math import isfinite
from pathlib import Path

from segviz.atomic_write import write_atomically


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
    write_atomically(path, text.getvalue().encode())


Curve = tuple[LogRow, ...]


class CurveError(ValueError):
    """A learning curve that cannot be read; the message names the file, the cause and the cure."""


def read_curve(path: Path) -> Curve:
    """The log that a training wrote beside its checkpoint.

    Raises:
        CurveError: it is no such log.
    """
    cure = "copy it again, or delete it"
    names = [one.name for one in fields(LogRow)]
    try:
        head, *lines = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
    except (ValueError, csv.Error, OSError):
        raise CurveError(f"{path} is not a learning curve in CSV; {cure}") from None
    if head != names:
        raise CurveError(f"{path} has the columns {', '.join(head)[:80]}, not {', '.join(names)}; {cure}")
    if not lines:
        raise CurveError(f"{path} has no line below its head; {cure}")
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            rows.append(log_row(line))
        except ValueError:
            raise CurveError(
                f"{path}, line {number}: '{','.join(line)[:80]}' is no step of a training; {cure}"
            ) from None
    return tuple(rows)


def log_row(line: list[str]) -> LogRow:
    """One line of the log.

    Raises:
        ValueError: a number is missing or none.
    """
    step, minutes, rate, loss, val_miou = line
    if not (isfinite(float(step)) and isfinite(float(minutes))):
        raise ValueError("a step without a place")
    return LogRow(
        int(float(step)), float(minutes), float(rate), float(loss), float(val_miou) if val_miou.strip() else None
    )
