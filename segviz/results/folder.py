"""Reads a folder of checkpoints: the records in the files, and the learning curves beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from segviz.catalogue.curve import Curve, CurveError, read_curve
from segviz.catalogue.record import Record
from segviz.models.registry import MODELS
from segviz.results.seeds import Runs, read_runs

BASELINE = "baseline"  # the checkpoint that all models started from
# Title by name; only their learning curves are kept.
BASELINE_TITLES = {BASELINE: "Common baseline", "sam-baseline": "SAM's own baseline"}


@dataclass(frozen=True)
class Results:
    """The readable results of a folder.

    Attributes:
        runs: the records of each model: the checkpoint's first, then those of further seeds.
        curves: the learning curves by name, including the baselines.
        problems: a sentence about each file that could not be read.
    """

    runs: Runs
    curves: Mapping[str, Curve]
    problems: tuple[str, ...] = ()

    @property
    def records(self) -> Mapping[str, Record]:
        """The records of the checkpoints, by the model's name."""
        return {name: seeds[0] for name, seeds in self.runs.items()}

    @property
    def missing(self) -> tuple[str, ...]:
        """Models without a readable checkpoint."""
        return tuple(name for name in MODELS if name not in self.runs)


def read_results(folder: Path) -> Results:
    """The records and curves of a folder, in the registry's order; only the headers of checkpoints are read."""
    curves: dict[str, Curve] = {}
    runs, errors = read_runs(folder)
    problems = [f"{error}." for error in errors]
    for path in (folder / f"{name}.csv" for name in (*MODELS, *BASELINE_TITLES)):
        try:
            curves |= {path.stem: read_curve(path)} if path.is_file() else {}
        except CurveError as error:
            problems.append(f"{error}.")
    return Results(runs, curves, tuple(problems))


def as_json(results: Results) -> str:
    """All results as JSON; NaN and infinities become null."""
    everything = {
        "runs": {name: [asdict(one) for one in seeds] for name, seeds in results.runs.items()},
        "curves": {name: [asdict(row) for row in curve] for name, curve in results.curves.items()},
        "problems": results.problems,
    }
    return json.dumps(null_non_finite(everything), indent=1, allow_nan=False)


def null_non_finite(value: Any) -> Any:
    """Replaces NaN and infinities, which JSON cannot hold, by None."""
    match value:
        case float():
            return value if isfinite(value) else None
        case dict():
            return {name: null_non_finite(one) for name, one in value.items()}
        case list() | tuple():
            return [null_non_finite(one) for one in value]
    return value
