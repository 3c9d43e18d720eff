"""What a folder of checkpoints tells of itself: the records in the files, and the learning curves beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from segviz.models.registry import SPECS
from segviz.record import Record
from segviz.runs import Runs, read_runs
from segviz.training_state import LogRow

BASELINE = "baseline"  # the training that all models started from
BASELINES = {BASELINE: "Common baseline", "sam-baseline": "SAM's own baseline"}  # only their curves are kept

Curve = tuple[LogRow, ...]


class CurveError(ValueError):
    """A learning curve that cannot be read; the message names the file, the cause and the cure."""


@dataclass(frozen=True)
class Results:
    """What could be read.

    Attributes:
        runs: the records of each model: its checkpoint's first, then those of further seeds.
        curves: of `NAME.csv`, the baselines' among them.
        problems: a sentence for each file that could not be read.
    """

    runs: Runs
    curves: Mapping[str, Curve]
    problems: tuple[str, ...] = ()

    @property
    def records(self) -> Mapping[str, Record]:
        """The checkpoints' own records, by the model's name."""
        return {name: found[0] for name, found in self.runs.items()}

    @property
    def missing(self) -> tuple[str, ...]:
        """Models without a readable checkpoint."""
        return tuple(name for name in SPECS if name not in self.runs)


def gather(folder: Path) -> Results:
    """The records and curves of a folder, in the order of MODELS; of the checkpoints only the headers are read."""
    curves: dict[str, Curve] = {}
    runs, told = read_runs(folder)
    problems = [f"{problem}." for problem in told]
    for path in (folder / f"{name}.csv" for name in (*SPECS, *BASELINES)):
        try:
            curves |= {path.stem: read_curve(path)} if path.is_file() else {}
        except CurveError as error:
            problems.append(f"{error}.")
    return Results(runs, curves, tuple(problems))


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


def as_json(results: Results) -> str:
    """Everything that was read, as JSON; numbers that are none become null."""
    everything = {
        "runs": {name: [asdict(one) for one in found] for name, found in results.runs.items()},
        "curves": {name: [asdict(row) for row in curve] for name, curve in results.curves.items()},
        "problems": results.problems,
    }
    return json.dumps(finite(everything), indent=1, allow_nan=False)


def finite(value: Any) -> Any:
    """The same with None for each number that is not finite, which JSON cannot hold."""
    match value:
        case float():
            return value if isfinite(value) else None
        case dict():
            return {name: finite(one) for name, one in value.items()}
        case list() | tuple():
            return [finite(one) for one in value]
    return value
