"""The same place in every model's maps: which maps there are, why some models have none, and the numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from segviz.attention import (
    AxisChannelAttention,
    ChannelAttention,
    CrissCrossAttention,
    Direction,
    SampledAttention,
    SpatialMap,
    StripAttention,
    seen,
)
from segviz.map_cells import Labels, cell_classes, spread_places
from segviz.models.registry import SPECS
from segviz.predict import Prediction
from segviz.statistics import MapStatistics, averaged, line_dependence, query_dependence, summary
from segviz.views.results_tables import Columns

PLACES = 36  # about as many, spread over the picture, stand for all of its places
LINES = 8  # of FLA's rows and columns

MISSING = (
    "the product of its channels sums over all places, so every place gets the same weights (FLANet calls this the "
    "*attention missing* of channel blocks)"
)


@dataclass(frozen=True)
class Number:
    """A column of numbers: its title, its meaning, how it is written, and what it takes from the statistics."""

    title: str
    meaning: str
    format: str | None
    of: Callable[[MapStatistics], float]


@dataclass(frozen=True)
class Head:
    """A column of text, or one that is not a map's own."""

    title: str
    meaning: str
    format: str | None = None


POINT = Head("Point", "The pinned point's number, or the mean over about 36 places spread evenly over the picture.")
MODEL = Head("Model", "The model, and which of its maps where it has two.")
OWN = Head("Class", "What the model sees in most of the point's cell.")
NUMBERS = (
    Number(
        "Entropy (bits)", "0: all weight on one cell. 2 to its power is a number of cells.", "%.2f",
        lambda one: one.entropy_bits,
    ),
    Number(
        "Of even (%)", "The entropy over that of even weights on the same grid: comparable between grids.", "%.1f",
        lambda one: 100 * one.normalised_entropy,
    ),
    Number(
        "Distance (%)", "Mean distance of the weight from the point, in percent of the picture's diagonal.", "%.1f",
        lambda one: 100 * one.distance_share,
    ),
    Number("Distance (px)", "The same in pixels of the picture.", "%.0f", lambda one: one.distance_pixels),
    Number(
        "Own class (%)", "Share of the weight on cells that the model gives the point's own class.", "%.1f",
        lambda one: 100 * one.own_class_share,
    ),
    Number(
        "Class's cells (%)", "Share of such cells in the picture: what even weights would have there.", "%.1f",
        lambda one: 100 * one.own_class_even,
    ),
    Number(
        "Outside (%)", "Share of the weight on samples outside of the picture (SNL).", "%.1f",
        lambda one: 100 * one.missing_share,
    ),
)  # fmt: skip
DEPENDS = Head(
    "Depends on point (%)",
    "Mean total variation distance between the maps of places spread over the picture. "
    "0: all places look at the same cells; 100: no two of them share a cell.",
    "%.1f",
)
HEADS = (POINT, MODEL, OWN, *NUMBERS, DEPENDS)


def spatial_maps(prediction: Prediction) -> tuple[SpatialMap, ...]:
    """The maps that give weights to places."""
    return tuple(one for one in prediction.maps.values() if isinstance(one, SpatialMap))


def map_title(prediction: Prediction, map_: SpatialMap) -> str:
    """The model's title, and the map's name where there are two."""
    title = SPECS[prediction.model].title
    return title if len(spatial_maps(prediction)) == 1 else f"{title}: {map_.name}"


def map_note(prediction: Prediction, map_: SpatialMap) -> str:
    """The grid that the weights are shares of, and what has to be known of the map."""
    notes = [f"{map_.grid[0]} × {map_.grid[1]} cells"]
    if isinstance(map_, CrissCrossAttention):
        notes.append(f"through all {len(map_.queries)} passes")
    if isinstance(map_, StripAttention):
        notes.append("a strip's weight spread over its cells")
    if isinstance(map_, SampledAttention):
        notes.append(f"{map_.weights.shape[1]} samples spread over cells")
    if "channel" in prediction.maps:
        notes.append("its channel part has no map")
    return "; ".join(notes)


def relates_channels(prediction: Prediction) -> bool:
    """Whether the block, or a part of it, has no map of places."""
    return any(isinstance(one, ChannelAttention | AxisChannelAttention) for one in prediction.maps.values())


def without_map(prediction: Prediction) -> str:
    """Why a model has no map from place to place, in a few words for its panel."""
    if not prediction.maps:
        return "no block, so no map"
    if any(isinstance(one, AxisChannelAttention) for one in prediction.maps.values()):
        return "no map of places: relates channels, anew for each row and column"
    return "no map of places: relates channels, the same everywhere (attention missing)"


def whole_reason(prediction: Prediction) -> str:
    """The same at length; of FLA with how much its matrices depend on the place."""
    title = f"**{SPECS[prediction.model].title}**"
    if not prediction.maps:
        return f"{title} has no attention block: beyond its convolutions, no place looks at another."
    lines = [one for one in prediction.maps.values() if isinstance(one, AxisChannelAttention)]
    if not lines:
        spatial = "channel part" if spatial_maps(prediction) else "block"
        return f"{title}: its {spatial} relates channels to channels; {MISSING}. It depends on the point by 0 %."
    apart = " and ".join(f"{one.axis} by {100 * line_dependence(one, spread_lines(one)):.1f} %" for one in lines)
    return (
        f"{title} relates channels too, but with a matrix for every row and every column of the grid, so that places "
        f"differ: the matrices of its {apart} (mean total variation distance). A map of single places it has not."
    )


def spread_lines(map_: AxisChannelAttention) -> list[int]:
    """Lines spread over the grid."""
    count = map_.grid[0 if map_.axis == "rows" else 1]
    return sorted({int((number + 0.5) * count / LINES) for number in range(LINES)})


@dataclass(frozen=True)
class PictureNumbers:
    """Of a whole picture: the mean over spread places, and how much the map depends on the place, in [0, 1]."""

    mean: MapStatistics
    dependence: float


def picture_numbers(prediction: Prediction, map_: SpatialMap, direction: Direction) -> PictureNumbers | None:
    """The numbers over spread places; None of maps that are no distribution."""
    places = spread_places(map_.grid, PLACES)
    if isinstance(map_, SampledAttention):  # nobody may sample a place, and its own samples may all lie outside
        places = tuple(place for place in places if float(seen(map_, *place, direction).sum()) > 0)
    size, labels = prediction.labels.shape, fine_labels(prediction, map_)
    try:
        mean = averaged(map_, places, labels, (size[0], size[1]), direction)
        return PictureNumbers(mean, query_dependence(map_, places, direction))
    except ValueError:
        return None


def point_numbers(
    prediction: Prediction, map_: SpatialMap, y: int, x: int, direction: Direction
) -> MapStatistics | None:
    """The numbers of an image pixel's map; None where all its weights are 0 or the map is no distribution."""
    height, width = prediction.labels.shape
    cell, labels = map_.cell(y, x, height, width), fine_labels(prediction, map_)
    try:
        return summary(map_, *cell, labels, (height, width), direction)
    except ValueError:
        return None


def point_class(prediction: Prediction, map_: SpatialMap, y: int, x: int) -> str | None:
    """The class of the pixel's cell, as the model sees it."""
    height, width = prediction.labels.shape
    labels = fine_labels(prediction, map_)
    if labels is None:
        return None
    index = int(cell_classes(map_, labels)[map_.cell(y, x, height, width)])
    return prediction.classes[index] if index < len(prediction.classes) else None


def fine_labels(prediction: Prediction, map_: SpatialMap) -> Labels | None:
    """The predicted classes; None where the picture has fewer pixels than the grid has cells."""
    fine = all(size >= cells for size, cells in zip(prediction.labels.shape, map_.grid, strict=True))
    return prediction.labels if fine else None


@dataclass(frozen=True)
class Row:
    """A map at a point, or over the whole picture."""

    point: str
    model: str
    own: str | None
    numbers: MapStatistics | None
    dependence: float | None


def table(rows: Sequence[Row]) -> Columns:
    """The rows by columns, for a page or a file; None where there is no number."""
    texts: Mapping[str, list[str | None]] = {
        POINT.title: [row.point for row in rows],
        MODEL.title: [row.model for row in rows],
        OWN.title: [row.own for row in rows],
    }
    numbers: Columns = {
        one.title: [None if row.numbers is None else known(one.of(row.numbers)) for row in rows] for one in NUMBERS
    }
    dependence = [None if row.dependence is None else 100 * row.dependence for row in rows]
    return {**texts, **numbers, DEPENDS.title: dependence}


def known(value: float) -> float | None:
    """None for NaN."""
    return None if math.isnan(value) else value
