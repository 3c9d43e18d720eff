"""The part of a checkpoint's record that says where its block looks: numbers of its maps over many pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import TypeAlias

from segviz.text import plain_text


@dataclass(frozen=True)
class MapNumbers:
    """Means over the cells of all pictures; None where no cell has the number.

    Attributes:
        entropy: entropy of a cell's weights as a share of that of even weights over what the cell chooses between
            (cells, strips or samples), in [0, 1].
        at_itself: weight on the cell and its eight neighbours, in [0, 1].
        own_class: weight on cells of the cell's class over what even weights put there, 0 or more. A mean of ratios.
        own_class_weight: weight on cells of the cell's class, in [0, 1]; void cells are left out.
        own_class_even: what even weights put there: the share of such cells among those within reach, in [0, 1].
        dependence: total variation distance between the rows of two cells, in [0, 1].
        distance: distance of the weight from the cell, as a share of the picture's diagonal, in [0, 1].
        largest: the largest weight that a cell gives, in [0, 1].
    """

    entropy: float | None = None
    at_itself: float | None = None
    own_class: float | None = None
    own_class_weight: float | None = None
    own_class_even: float | None = None
    dependence: float | None = None
    distance: float | None = None
    largest: float | None = None


@dataclass(frozen=True)
class MeasuredMap:
    """One map of a block, beside two maps that have learned nothing.

    Attributes:
        grid: (height, width) of the map on the pictures.
        trained: of the trained block.
        even: if each cell gave the same weight to all that it chooses between.
        random: of the same block with random weights, on the trained network's features.
    """

    grid: tuple[int, int]
    trained: MapNumbers
    even: MapNumbers
    random: MapNumbers


@dataclass(frozen=True)
class MapMeasurement:
    """The maps of a block over all cells of a set of labelled pictures.

    Attributes:
        data: the set of pictures, in words.
        images: number of pictures.
        maps: by the map's name.
    """

    data: str
    images: int
    maps: Mapping[str, MeasuredMap]


MapMeasurements: TypeAlias = Mapping[str, MapMeasurement]  # by the name of the evaluation: val, scenes


def check_map_measurement(measurement: MapMeasurement, name: str) -> None:
    """Check the numbers of a record's maps.

    Raises:
        ValueError: a number is outside its range; the message names it.
    """
    if not 0 <= measurement.images < 2**53:
        raise ValueError(f"'maps.{plain_text(name, 40)}.images' is not a whole number from 0 to 2^53")
    for map_name, one in measurement.maps.items():
        place = f"maps.{plain_text(name, 40)}.{plain_text(map_name, 40)}"
        if not all(0 < side < 2**53 for side in one.grid):
            raise ValueError(f"'{place}.grid' has a side of less than 1 cell, or of 2^53 or more")
        for kind in ("trained", "even", "random"):
            check_map_numbers(getattr(one, kind), f"{place}.{kind}")


def check_map_numbers(numbers: MapNumbers, place: str) -> None:
    """Check that shares are shares, and that no number is negative.

    Raises:
        ValueError: a number is outside its range.
    """
    for field in fields(numbers):
        value = getattr(numbers, field.name)
        most = None if field.name == "own_class" else 1
        if value is not None and not (isfinite(value) and value >= 0 and (most is None or value <= most)):
            limits = "0 or more" if most is None else "from 0 to 1"
            raise ValueError(f"'{place}.{field.name}' is {value}, not {limits}")
