"""What a folder of checkpoints tells of itself: the records in the files, and the learning curves beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from segviz.checkpoint import CheckpointError, read_record, require_model
from segviz.models.registry import SPECS
from segviz.record import VAL, VAL_WITHOUT_CONTEXT, Record, Shares
from segviz.training_state import LogRow

BASELINE = "baseline"  # the training that all models started from; only its curve is kept
LOSSLESS = 0.1  # points of mIoU below which a block's context can be removed without loss

Curve = tuple[LogRow, ...]


class CurveError(ValueError):
    """A learning curve that cannot be read; the message names the file, the cause and the cure."""


@dataclass(frozen=True)
class Results:
    """What could be read.

    Attributes:
        records: of `NAME.safetensors`, by the model's name.
        curves: of `NAME.csv`, the baseline's among them.
        other_seeds: the records of `NAME-seedN.safetensors`, where there are any.
        problems: a sentence for each file that could not be read.
    """

    records: Mapping[str, Record]
    curves: Mapping[str, Curve]
    other_seeds: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Models without a readable checkpoint."""
        return tuple(name for name in SPECS if name not in self.records)


def gather(folder: Path) -> Results:
    """The records and curves of a folder, in the order of MODELS; of the checkpoints only the headers are read."""
    records: dict[str, Record] = {}
    curves: dict[str, Curve] = {}
    others: dict[str, tuple[Record, ...]] = {}
    problems: list[str] = []
    for name in SPECS:
        if own := sound(folder, f"{name}.safetensors", problems):
            records[name] = own[0]
        if more := sound(folder, f"{name}-seed*.safetensors", problems):
            others[name] = tuple(more)
    for path in (folder / f"{name}.csv" for name in (*SPECS, BASELINE)):
        try:
            curves |= {path.stem: read_curve(path)} if path.is_file() else {}
        except CurveError as error:
            problems.append(f"{error}.")
    return Results(records, curves, others, tuple(problems))


def sound(folder: Path, pattern: str, problems: list[str]) -> list[Record]:
    """The records of the files that match and hold the model that they are named after; else a sentence is added."""
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            record = read_record(path)
            require_model(path, record, path.stem.partition("-seed")[0])
            found.append(record)
        except (CheckpointError, OSError) as error:
            problems.append(f"{error}.")
    return found


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


def mean(shares: Shares) -> float | None:
    """The mean over the classes that occur; None where none does."""
    known = [share for share in shares.values() if share is not None]
    return sum(known) / len(known) if known else None


def miou(record: Record, evaluation: str) -> float | None:
    """Mean IoU of one of a record's evaluations, in [0, 1]; None where it was not made or nothing occurred."""
    one = record.evaluations.get(evaluation)
    return None if one is None or isnan(one.miou) else one.miou


def context_gain(record: Record) -> float | None:
    """Points of mIoU on val that the block's context adds: those lost when it is switched off.

    None where it was not measured, and for models without a context to switch off.
    """
    with_it, without = miou(record, VAL), miou(record, VAL_WITHOUT_CONTEXT)
    if with_it is None or without is None or not SPECS[record.model].maps:
        return None
    return round(100 * (with_it - without), 2) + 0.0  # never -0.0


def idle_contexts(records: Mapping[str, Record]) -> tuple[str, ...]:
    """Models whose context can be removed without loss: that changes val mIoU by less than LOSSLESS points."""
    gains = {name: context_gain(record) for name, record in records.items()}
    return tuple(name for name, gain in gains.items() if gain is not None and abs(gain) < LOSSLESS)


def as_json(results: Results) -> str:
    """Everything that was read, as JSON; numbers that are none become null."""
    everything = {
        "records": {name: asdict(record) for name, record in results.records.items()},
        "other_seeds": {name: [asdict(one) for one in more] for name, more in results.other_seeds.items()},
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
