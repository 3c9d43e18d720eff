"""The checkpoints of a folder, seed by seed, and how their figures are written in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import TypeAlias

from segviz.checkpoint import read_record, require_model
from segviz.models.registry import SPECS
from segviz.record import Record
from segviz.tensors import CheckpointError

Runs: TypeAlias = Mapping[str, tuple[Record, ...]]
Rows: TypeAlias = list[tuple[str, ...]]
NONE = "–"  # where there is no figure


def find_runs(folder: Path) -> Runs:
    """The records of each model that is there, in the registry's order: the bundled file's first, then other seeds'.

    Raises:
        CheckpointError: a file is damaged, holds another model or seed than its name says, or another recipe.
    """
    found = {name: run_files(folder, name) for name in SPECS}
    return {name: tuple(records_of(name, files)) for name, files in found.items() if files}


def checkpoint_files(folder: Path, runs: Runs) -> list[Path]:
    """The files of the runs, in their order."""
    return [file for name in runs for file in run_files(folder, name)]


def run_files(folder: Path, name: str) -> list[Path]:
    """`NAME.safetensors` and the `NAME-seedN.safetensors` beside it, by N; nothing without the first."""
    first = folder / f"{name}.safetensors"
    more = {seed_of(path): path for path in folder.glob(f"{name}-seed*.safetensors")}
    return [first, *(more[seed] for seed in sorted(more) if seed >= 0)] if first.is_file() else []


def seed_of(path: Path) -> int:
    """The N of `NAME-seedN.safetensors`; -1 where there is none."""
    match = re.search(r"-seed(\d+)$", path.stem)
    return int(match[1]) if match else -1


def records_of(name: str, files: Sequence[Path]) -> list[Record]:
    """The records of one model's files, which may differ in nothing but chance.

    Raises:
        CheckpointError: they do.
    """
    records: list[Record] = []
    for path in files:
        record = read_record(path)
        require_model(path, record, name)
        if seed_of(path) not in (-1, record.seed):
            raise CheckpointError(f"{path} was trained with seed {record.seed} by its record; name it so")
        if record.seed in (one.seed for one in records):
            raise CheckpointError(f"{path} was trained with seed {record.seed} as another file was; remove one of them")
        if records and record.steps != records[0].steps:
            raise CheckpointError(
                f"{path} was trained for {record.steps} steps, {files[0].name} for {records[0].steps}, so they are "
                "no two seeds of one recipe; train it as the other, or move it elsewhere"
            )
        records.append(record)
    return records


def values(records: Iterable[Record], which: str) -> list[float]:
    """The mIoU of each record that has the evaluation, in percent."""
    return [100 * one.evaluations[which].miou for one in records if which in one.evaluations]


def mean(shares: Iterable[float | None]) -> float | None:
    """The mean of the shares that there are."""
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def miou(record: Record, which: str) -> str:
    """An evaluation's mIoU in percent."""
    return score(record.evaluations[which].miou if which in record.evaluations else None)


def score(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in percent; a dash where there is none."""
    return NONE if share is None or isnan(share) else f"{100 * share:.{digits}f}"


def distinct(texts: Iterable[str]) -> list[str]:
    """Each text once, in the order of first sight."""
    return list(dict.fromkeys(texts))


def ticked(text: str) -> str:
    """As code."""
    return f"`{text}`"


def listed(names: Iterable[str]) -> str:
    """Names as code, with an "and" before the last."""
    *others, last = map(ticked, names)
    return f"{', '.join(others)} and {last}" if others else last


def plain(text: str) -> str:
    """A record's text inside a table's cell: one line, no bar."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown(rows: Rows) -> str:
    """A table; the first row is the head."""
    head, *body = (" | ".join(row) for row in rows)
    rule = " | ".join("---" for _ in rows[0])
    return "\n".join(f"| {line} |" for line in (head, rule, *body)) + "\n"
