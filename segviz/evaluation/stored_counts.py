"""The counts of a sample as JSON, exactly: whole numbers stay whole, and Python writes all bits of floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segviz.evaluation.evaluate import SampleCounts
from segviz.evaluation.map_numbers import MapMeans, Means
from segviz.evaluation.metrics import Confusion
from segviz.typed_json import convert_value

FlatCounts = tuple[tuple[int, int], ...]  # (place in the flat matrix, pixels) of each count above 0


@dataclass(frozen=True)
class StoredMeans:
    """See `Means`."""

    sums: Mapping[str, float]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class StoredMap:
    """See `MapMeans`."""

    grid: tuple[int, int]
    trained: StoredMeans
    even: StoredMeans
    random: StoredMeans


@dataclass(frozen=True)
class StoredCounts:
    """See `SampleCounts`."""

    everywhere: Mapping[str, FlatCounts]
    near_borders: Mapping[str, FlatCounts]
    maps: Mapping[str, StoredMap]


def counts_to_json(counts: SampleCounts) -> dict[str, Any]:
    """The counts as plain values."""
    return {
        "everywhere": {name: flat_counts(one) for name, one in counts.everywhere.items()},
        "near_borders": {name: flat_counts(one) for name, one in counts.near_borders.items()},
        "maps": {
            name: {
                "grid": list(one.grid),
                **{kind: vars(means) for kind, means in parts_of(one).items()},
            }
            for name, one in counts.maps.items()
        },
    }


def parts_of(one: MapMeans) -> dict[str, Means]:
    """The three kinds of weights of a map's means."""
    return {"trained": one.trained, "even": one.even, "random": one.random}


def flat_counts(one: Confusion) -> list[tuple[int, int]]:
    """The counts above 0, with their places."""
    flat = one.matrix.ravel()
    places = np.flatnonzero(flat)
    return list(zip(places.tolist(), flat[places].tolist(), strict=True))


def counts_from_json(value: Any, classes: int) -> SampleCounts:
    """The counts again.

    Args:
        value: what `counts_to_json` gave, or anything else.
        classes: the number of classes.

    Raises:
        ValueError: it is something else.
    """
    stored = convert_value(StoredCounts, value)
    return SampleCounts(
        {name: square_counts(one, classes) for name, one in stored.everywhere.items()},
        {name: square_counts(one, classes) for name, one in stored.near_borders.items()},
        {
            name: MapMeans(one.grid, read_means(one.trained), read_means(one.even), read_means(one.random))
            for name, one in stored.maps.items()
        },
    )


def read_means(stored: StoredMeans) -> Means:
    """Sums and counts that can be added to."""
    return Means(dict(stored.sums), dict(stored.counts))


def square_counts(flat: FlatCounts, classes: int) -> Confusion:
    """The matrix of flat counts.

    Raises:
        ValueError: a place lies outside, or a count is negative.
    """
    matrix = np.zeros(classes**2, np.int64)
    for place, pixels in flat:
        if not (0 <= place < classes**2 and 0 <= pixels < 2**62):
            raise ValueError(f"a count of {pixels} at {place} is impossible; remove the file and start again")
        matrix[place] = pixels
    return Confusion(matrix.reshape(classes, classes))
