"""What each block gains over `fcn` trained alike: a second number beside what its context is worth."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from segviz.catalogue.record import VAL, Record
from segviz.results.seeds import Runs

PLAIN = "fcn"  # the model without a block


def gains_over_fcn(runs: Runs, name: str, evaluation: str = VAL) -> Mapping[int, float]:
    """MIoU of a model less that of `fcn` trained alike, in points, by seed; seeds without such an `fcn` are left out.

    Alike: the same seed, steps, data and classes. The first weights may differ, as SAM's do, which has a backbone of
    another stride.
    """
    if name == PLAIN:
        return {}
    plain = {recipe_of(one): one.miou(evaluation) for one in runs.get(PLAIN, ())}
    pairs = {one.seed: (one.miou(evaluation), plain.get(recipe_of(one))) for one in runs.get(name, ())}
    return {seed: 100 * (own - other) for seed, (own, other) in pairs.items() if own is not None and other is not None}


def mean_gain(runs: Runs, name: str, evaluation: str = VAL) -> float | None:
    """The mean of `gains_over_fcn`, to two decimals as in the tables; None if there is none."""
    gains = gains_over_fcn(runs, name, evaluation)
    return round(fmean(gains.values()), 2) + 0.0 if gains else None  # never -0.0


def recipe_of(record: Record) -> tuple[object, ...]:
    """What two trainings must share to be alike."""
    return record.seed, record.steps, record.data, record.classes
