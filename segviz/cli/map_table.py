"""The table of `evaluate --maps`."""

from __future__ import annotations

from collections.abc import Mapping

from segviz.catalogue.map_record import MapMeasurements, MapNumbers
from segviz.text import format_percent, format_table

KINDS_OF_WEIGHTS = ("trained", "even", "random")
PERCENTS = ("entropy", "at_itself", "own_class_weight", "dependence", "distance")
MAP_HEADS = ("entropy %", "at itself %", "own class %", "depends %", "distance %", "own class / even", "largest %")


def format_map_numbers(models: Mapping[str, MapMeasurements]) -> str:
    """Three rows for each map and set of pictures: the trained block, even weights, and random weights."""
    rows = [
        [model, name, evaluation, weights, *format_numbers(getattr(one, weights))]
        for model, measurements in models.items()
        for evaluation, measurement in measurements.items()
        for name, one in measurement.maps.items()
        for weights in KINDS_OF_WEIGHTS
    ]
    return format_table(["model", "map", "pictures", "weights", *MAP_HEADS], rows)


def format_numbers(numbers: MapNumbers) -> list[str]:
    """The numbers in the order of MAP_HEADS."""
    ratio = "-" if numbers.own_class is None else f"{numbers.own_class:.2f}"
    largest = "-" if numbers.largest is None else f"{100 * numbers.largest:.2f}"
    return [*(format_percent(getattr(numbers, name)) for name in PERCENTS), ratio, largest]
