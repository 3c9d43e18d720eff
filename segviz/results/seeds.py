"""The trainings of a folder: each model's checkpoint, and the records of its further seeds, which need no weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.checkpoint_file import read_record, require_model
from segviz.catalogue.record import VAL, VAL_WITHOUT_CONTEXT, Record, from_json
from segviz.models.registry import SPECS

Runs: TypeAlias = Mapping[str, tuple[Record, ...]]
SEEDS = "seeds"  # the folder of `NAME-seedN.json` beside `NAME.safetensors`
ALIKE = {  # what seeds of one model share
    "classes": "classes",
    "backbone": "backbone",
    "output_stride": "output stride",
    "data": "data",
    "steps": "steps",
    "initial": "first weights",
}
NO_LOSS = 0.1  # points of mIoU: a smaller change is called none


def find_runs(folder: Path) -> Runs:
    """The records of each model that is there, in the registry's order: the checkpoint's first, then other seeds'.

    Raises:
        CheckpointError: as `read_runs` tells.
    """
    runs, problems = read_runs(folder)
    if problems:
        raise CheckpointError(problems[0])
    return runs


def read_runs(folder: Path) -> tuple[Runs, tuple[str, ...]]:
    """As `find_runs`, but what cannot be used is left out, and told in a sentence without its full stop.

    That is a file that is damaged, holds another model or seed than its name says, or was made by another recipe. Of
    checkpoints only the headers are read. Seeds of a model without a checkpoint are nobody's.
    """
    runs: dict[str, tuple[Record, ...]] = {}
    problems: list[str] = []
    for name in SPECS:
        if not (path := folder / f"{name}.safetensors").is_file():
            continue
        try:
            first = read_record(path)
            require_model(path, first, name)
            runs[name] = (first,)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        for path in seed_files(folder, name):
            try:
                runs[name] += (read_seed(path, runs[name]),)
            except CheckpointError as error:
                problems.append(str(error))
    problems += [
        f"{path} belongs to no model; call it NAME-seedN.json, with a name that `python -m segviz models` tells"
        for path in sorted((folder / SEEDS).glob("*.json"))
        if path not in {known for name in SPECS for known in seed_files(folder, name)}
    ]
    return runs, tuple(problems)


def seed_files(folder: Path, name: str) -> list[Path]:
    """The `seeds/NAME-seedN.json` of a folder, by N."""
    return sorted(
        (path for path in (folder / SEEDS).glob(f"{name}-seed*.json") if seed_in_name(path) >= 0), key=seed_in_name
    )


def seed_in_name(path: Path) -> int:
    """The N of `NAME-seedN.json`; -1 where there is none."""
    match = re.search(r"-seed(\d+)$", path.stem)
    return int(match[1]) if match else -1


def read_seed(path: Path, others: tuple[Record, ...]) -> Record:
    """A further seed's record, which `python -m segviz models --record-of` printed.

    Args:
        path: `NAME-seedN.json`.
        others: the model's records so far, from which it may differ in nothing but chance.

    Raises:
        CheckpointError: it does, or it is no record, or it is not what its name says.
    """
    try:
        record = from_json(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} holds no record ({error}); print it again, or delete it") from None
    if (record.model, record.seed) != (others[0].model, seed_in_name(path)):
        raise CheckpointError(f"{path} holds the record of {record.model} with seed {record.seed}; name it so")
    if record.seed in (one.seed for one in others):
        raise CheckpointError(f"{path} was trained with seed {record.seed} as another of its records; delete it")
    for field, said in ALIKE.items():
        own, first = getattr(record, field), getattr(others[0], field)
        if own != first:
            raise CheckpointError(
                f"{path} has other {said} ({own}) than the checkpoint of {record.model} ({first}), so they are no "
                "two seeds of one recipe; train it as the other, or delete it"
            )
    return record


def scores(records: Iterable[Record], evaluation: str, field: str = "miou") -> list[float]:
    """A score of each record that has it, in percent: the field `miou`, `boundary_miou` or `accuracy`."""
    found = [getattr(one.evaluations[evaluation], field) for one in records if evaluation in one.evaluations]
    return [100 * share for share in found if share is not None and not isnan(share)]


def context_changes(records: Iterable[Record]) -> list[float]:
    """Points of val mIoU by which switching off the block's context changes each training: negative is a loss.

    Without those where it was not measured, and without models that have no context to switch off.
    """
    pairs = [(one.miou(VAL), one.miou(VAL_WITHOUT_CONTEXT)) for one in records if SPECS[one.model].maps]
    return [100 * (without - own) for own, without in pairs if own is not None and without is not None]


def context_change(records: Iterable[Record]) -> float | None:
    """The mean of `context_changes`, to two places as tables show it; None where there is none."""
    changes = context_changes(records)
    return round(fmean(changes), 2) + 0.0 if changes else None  # never -0.0


def idle_contexts(runs: Runs) -> tuple[str, ...]:
    """Models whose context can be removed without loss: that changes val mIoU by less than NO_LOSS points."""
    changes = {name: context_change(found) for name, found in runs.items()}
    return tuple(name for name, change in changes.items() if change is not None and abs(change) < NO_LOSS)
