"""The training runs in a folder: each model's checkpoint, and records of further seeds without weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path
from statistics import fmean, stdev
from typing import TypeAlias

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.checkpoint_file import read_record, require_model
from segviz.catalogue.context_worth import NO_LOSS, OWN_SCORE, WITHOUT
from segviz.catalogue.record import VAL, Record, from_json
from segviz.models.registry import MODELS
from segviz.text import NONE, format_mean

Seeds: TypeAlias = tuple[Record, ...]  # records of one model: the checkpoint's first, then further seeds
Runs: TypeAlias = Mapping[str, Seeds]
SEEDS_FOLDER = "seeds"  # the folder of `NAME-seedN.json` beside `NAME.safetensors`
SHARED_FIELDS = {  # fields in which the seeds of one model must agree
    "classes": "classes",
    "backbone": "backbone",
    "output_stride": "output stride",
    "data": "data",
    "steps": "steps",
    "initial": "first weights",
}


def find_runs(folder: Path) -> Runs:
    """The records of each model in the folder, in the registry's order.

    Raises:
        CheckpointError: a file cannot be used; see `read_runs`.
    """
    runs, problems = read_runs(folder)
    if problems:
        raise CheckpointError(problems[0])
    return runs


def read_runs(folder: Path) -> tuple[Runs, tuple[str, ...]]:
    """The records of each model in the folder, and a sentence (without full stop) about each file that cannot be used.

    Such a file is damaged, holds another model or seed than its name says, or comes from another recipe. Only the
    headers of checkpoints are read. Seeds of a model without a checkpoint are ignored.
    """
    runs: dict[str, Seeds] = {}
    problems: list[str] = []
    for name in MODELS:
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
        f"{path} belongs to no model; call it NAME-seedN.json, with a NAME that `python -m segviz models` lists"
        for path in sorted((folder / SEEDS_FOLDER).glob("*.json"))
        if path not in {known for name in MODELS for known in seed_files(folder, name)}
    ]
    return runs, tuple(problems)


def seed_files(folder: Path, name: str) -> list[Path]:
    """The files `seeds/NAME-seedN.json` of a model, ordered by N."""
    return sorted(
        (path for path in (folder / SEEDS_FOLDER).glob(f"{name}-seed*.json") if seed_in_name(path) >= 0),
        key=seed_in_name,
    )


def seed_in_name(path: Path) -> int:
    """The N of `NAME-seedN.json`; -1 for another name."""
    match = re.search(r"-seed(\d+)$", path.stem)
    return int(match[1]) if match else -1


def read_seed(path: Path, others: Seeds) -> Record:
    """The record of a further seed, as printed by `python -m segviz models --record-of`.

    Args:
        path: the file `NAME-seedN.json`.
        others: the records of the model so far; the recipe must be the same.

    Raises:
        CheckpointError: the file holds no record, another model or seed, or another recipe.
    """
    try:
        record = from_json(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} holds no record ({error}); print it again, or delete it") from None
    if (record.model, record.seed) != (others[0].model, seed_in_name(path)):
        raise CheckpointError(f"{path} holds the record of {record.model} with seed {record.seed}; rename it to match")
    if record.seed in (one.seed for one in others):
        raise CheckpointError(f"{path} has seed {record.seed}, like another record of the model; delete it")
    for field, said in SHARED_FIELDS.items():
        own, first = getattr(record, field), getattr(others[0], field)
        if own != first:
            raise CheckpointError(
                f"{path} has other {said} ({own}) than the checkpoint of {record.model} ({first}), so its recipe "
                "differs; train it with the checkpoint's recipe, or delete it"
            )
    return record


def scores(records: Iterable[Record], evaluation: str, field: str = "miou") -> list[float]:
    """The score of each record that has it, in percent; `field` is `miou`, `boundary_miou` or `accuracy`."""
    shares = [getattr(one.evaluations[evaluation], field) for one in records if evaluation in one.evaluations]
    return [100 * share for share in shares if share is not None and not isnan(share)]


def context_changes(records: Iterable[Record], evaluation: str = VAL) -> list[float]:
    """The change of mIoU, in points, when the block's context is switched off: negative is a loss.

    Records without this measurement and models without context are left out.
    """
    pairs = [(one.miou(evaluation), one.miou(WITHOUT[evaluation])) for one in records if MODELS[one.model].maps]
    return [100 * (without - own) for own, without in pairs if own is not None and without is not None]


def context_change(records: Iterable[Record], evaluation: str = VAL) -> float | None:
    """The mean of `context_changes`, to two decimals as in the tables; None if there is none."""
    changes = context_changes(records, evaluation)
    return round(fmean(changes), 2) + 0.0 if changes else None  # never -0.0


def change_text(changes: Sequence[float]) -> str:
    """Changes over seeds in a sentence, as in the tables: their mean with its sign, and their deviation."""
    return format_mean(changes, "+z.2f").replace("-", "−")


def is_within_spread(changes: Sequence[float]) -> bool:
    """Whether a change is no larger than its own spread between seeds, so that it cannot be told from none.

    A change that small with a spread below NO_LOSS is none. The spread of a single seed is not known.
    """
    return len(changes) > 1 and max(abs(fmean(changes)), NO_LOSS) <= stdev(changes)


def unclear_contexts(runs: Runs, evaluation: str = VAL) -> tuple[str, ...]:
    """Models whose change without the context lies within its spread between seeds."""
    return tuple(name for name, seeds in runs.items() if is_within_spread(context_changes(seeds, evaluation)))


def idle_contexts(runs: Runs) -> tuple[str, ...]:
    """Models whose val mIoU measurably falls by less than NO_LOSS points, or rises, without the context."""
    unclear = unclear_contexts(runs)
    changes = {name: context_change(seeds) for name, seeds in runs.items() if name not in unclear}
    return tuple(name for name, change in changes.items() if change is not None and change > -NO_LOSS)


def format_gammas(record: Record, form: str) -> str:
    """The trained gammas, each after the name of its branch if there are several; empty if there are none."""
    names = {name: name.removesuffix("gamma").strip(".").removeprefix("block").strip(".") for name in record.gammas}
    return ", ".join(f"{names[name]} {value:{form}}".strip() for name, value in record.gammas.items())


def score_origin(count: int) -> str:
    """Whose a score is: that of one seed, or a mean over so many."""
    return OWN_SCORE if count == 1 else f"mean of {count} seeds"


def score_origins(seeds: Seeds, columns: Mapping[str, str]) -> str:
    """Whose the scores of a table's row are, such as "mean of 3 seeds; MS+F: one seed".

    Args:
        seeds: the records of the row.
        columns: the evaluation of each column, by the column's title.
    """
    titles: dict[int, list[str]] = {}
    for title, evaluation in columns.items():
        if count := len(scores(seeds, evaluation)):
            titles.setdefault(count, []).append(title)
    counts = sorted(titles, reverse=True)
    parts = [
        score_origin(count) if at == 0 else f"{', '.join(titles[count])}: {score_origin(count)}"
        for at, count in enumerate(counts)
    ]
    return "; ".join(parts) or NONE
