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
    """One row of a training log.

    Attributes:
        step: steps done so far.
        minutes: time since the start, without pauses.
        rate: learning rate of the latest step.
        loss: mean loss since the row before.
        val_miou: mean IoU of the averaged weights on val, in [0, 1]; None if not measured.
    """

    step: int
    minutes: float
    rate: float
    loss: float
    val_miou: float | None = None


def write_log(path: Path, rows: Sequence[LogRow]) -> None:
    """Write the log as CSV; a value that was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(LogRow)])
    for row in rows:
        writer.writerow(["" if value is None else f"{value:.6g}" for value in astuple(row)])
    write_atomically(path, text.getvalue().encode())


Curve = tuple[LogRow, ...]


class CurveError(ValueError):
    """A learning curve that cannot be read; the message names the file, the cause and the cure."""


def read_curve(path: Path) -> Curve:
    """Read the log that a training wrote beside its checkpoint.

    Raises:
        CurveError: the file is not such a log.
    """
    cure = "copy it again, or delete it"
    names = [field.name for field in fields(LogRow)]
    try:
        head, *lines = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
    except (ValueError, csv.Error, OSError):
        raise CurveError(f"{path} is not a learning curve in CSV; {cure}") from None
    if head != names:
        raise CurveError(f"{path} has the columns {', '.join(head)[:80]}, not {', '.join(names)}; {cure}")
    if not lines:
        raise CurveError(f"{path} has no rows below its header; {cure}")
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            rows.append(log_row(line))
        except ValueError:
            raise CurveError(f"{path}, line {number}: '{','.join(line)[:80]}' is not a training step; {cure}") from None
    return tuple(rows)


def log_row(line: list[str]) -> LogRow:
    """One row of the log.

    Raises:
        ValueError: a number is missing or malformed.
    """
    step, minutes, rate, loss, val_miou = line
    if not (isfinite(float(step)) and isfinite(float(minutes))):
        raise ValueError("step or minutes are not finite")
    return LogRow(
        int(float(step)), float(minutes), float(rate), float(loss), float(val_miou) if val_miou.strip() else None
    )
