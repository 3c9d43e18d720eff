"""One place in every model's maps: titles, the reason why a model has no map, and the table of statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import assert_never

from segviz.attention.cells import Labels, cell_classes, has_pixel_in_each_cell, spread_places
from segviz.attention.direction import Direction
from segviz.attention.head_map import HeadMap
from segviz.attention.maps import AxisChannelAttention, ChannelAttention, Gate, Grid, SpatialMap, attention_weights
from segviz.attention.network_numbers import network_statistics
from segviz.attention.region import Region
from segviz.attention.statistics import MapStatistics, line_dependence, mean_statistics, query_dependence, statistics_of
from segviz.catalogue.map_record import MeasuredMap
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.table import Columns, ColumnSpec, tabulate
from segviz.text import join_with_commas
from segviz.viewer.panel import Panel

PLACES = 36  # approximate number of places, spread over the picture, for means over the picture
LINES = 8  # number of rows and of columns of FLA that are compared


@dataclass(frozen=True)
class MapRow:
    """A map at a pinned point, or over the whole picture.

    Attributes:
        point: the point's number, "mean" over the picture, or "val" for the record's means over val.
        model: title of the model or map.
        own: predicted class at the point; None for the whole picture.
        numbers: statistics of the map; None if it has none.
        dependence: how much the map depends on the point, in [0, 1]; None if unknown.
    """

    point: str
    model: str
    own: str | None
    numbers: MapStatistics | None
    dependence: float | None


def statistic(field: str, factor: float = 1) -> Callable[[MapRow], float | None]:
    """A function that reads a field of a row's statistics, times `factor`."""
    return lambda row: None if row.numbers is None else factor * float(getattr(row.numbers, field))


SAME_PIXEL_COLUMNS: tuple[ColumnSpec[MapRow], ...] = (
    ColumnSpec(
        "Point", f"Number of the pinned point; mean: over about {PLACES} places spread evenly over the picture; "
        "val: over all places of val's pictures, from the checkpoint's record.",
        lambda row: row.point, None,
    ),
    ColumnSpec("Model", "The model, and the map if it has two.", lambda row: row.model, None),
    ColumnSpec("Class", "The class that the model predicts at the point.", lambda row: row.own, None),
    ColumnSpec(
        "Entropy (bits)", "Of the weights on all that the point can choose between: cells within reach, strips (SAM) "
        "or samples (SNL). 0: all weight lies on one of them. 2^entropy is their effective number.",
        statistic("entropy_bits"), "%.2f",
    ),
    ColumnSpec(
        "Entropy (% of even)", "Entropy relative to that of even weights on all that the point can choose between; "
        "comparable between grids of different sizes.",
        statistic("relative_entropy", 100),
    ),
    ColumnSpec(
        "Distance (%)", "Mean distance of the weight from the point, in percent of the picture's diagonal.",
        statistic("distance_share", 100),
    ),
    ColumnSpec(
        "Even distance (%)", "The distance that even weights would have: on average 37 over a whole picture. "
        "Only a map with a larger distance than this looks far.",
        statistic("distance_even", 100),
    ),
    ColumnSpec(
        "Own class (%)", "Share of the weight on cells that the model assigns to the point's class.",
        statistic("own_class_share", 100),
    ),
    ColumnSpec(
        "Even own class (%)", "Share that even weights on all that the point can choose between put on its class.",
        statistic("own_class_even", 100),
    ),
    ColumnSpec(
        "Depends (%)", "How much the map depends on the point: mean total variation distance between the maps of "
        "places spread over the picture. 0: all places have the same map; 100: no two maps share a cell.",
        lambda row: None if row.dependence is None else 100 * row.dependence,
    ),
    ColumnSpec("Distance (px)", "Mean distance of the weight from the point, in pixels.", statistic("distance_pixels")),
    ColumnSpec(
        "Outside (%)", "Share of the weight on samples outside the picture (SNL).", statistic("missing_share", 100),
    ),
)  # fmt: skip


def map_title(prediction: Prediction, map_: SpatialMap) -> str:
    """The model's title, and the map's name if the model has two."""
    title = MODELS[prediction.model].title
    return title if len(prediction.spatial_maps) == 1 else f"{title}: {map_.name}"


def map_note(prediction: Prediction, map_: SpatialMap) -> str:
    """The size of the map's grid, and its remark."""
    cells = f"{map_.grid[0]} x {map_.grid[1]} cells"
    return f"{cells}, {map_.remark}" if map_.remark else cells


def no_map_words(prediction: Prediction) -> str:
    """Why a model has no map over places, in a few words for its panel."""
    return "; ".join(dict.fromkeys(one.short_reason for one in prediction.channel_maps)) or "no block, no map"


def no_map_sentences(predictions: Sequence[Prediction]) -> list[str]:
    """Sentences that say why models have no map over places, and how much the point matters to them."""
    sentences = [
        f"**{MODELS[one.model].title}** has no attention block: no place attends to another; it has only convolutions."
        for one in predictions
        if not one.maps
    ]
    one_matrix: list[str] = []
    line_matrices: dict[str, list[str]] = {}
    for one in predictions:
        title = f"**{MODELS[one.model].title}**"
        for map_ in one.channel_maps:
            match map_:
                case ChannelAttention():
                    one_matrix.append(f"the channel part of {title}" if one.spatial_maps else title)
                case AxisChannelAttention():
                    apart = 100 * line_dependence(map_, spread_lines(map_))
                    line_matrices.setdefault(title, []).append(f"{map_.axis} {apart:.1f} %")
                case Gate():
                    pass  # the gate lies before the block
                case _:
                    assert_never(map_)
    if one_matrix:
        names = join_with_commas(one_matrix)
        sentences.append(
            f"{names[0].upper()}{names[1:]}: the product of the features sums over all places and leaves one channel "
            "matrix, so it is the same for every point. FLANet calls this *attention missing*."
        )
    for title, apart_by_axis in line_matrices.items():
        sentences.append(
            f"{title} relates channels too, but has one matrix for every row and every column of the grid, so the "
            f"place matters: mean total variation distance between its matrices: {join_with_commas(apart_by_axis)}. "
            "FLANet's own figure shows its attended features."
        )
    return sentences


def spread_lines(map_: AxisChannelAttention) -> list[int]:
    """Numbers of at most LINES rows or columns, spread over the grid."""
    count = map_.grid[0 if map_.axis == "rows" else 1]
    return sorted({int((number + 0.5) * count / LINES) for number in range(LINES)})


@dataclass(frozen=True)
class PictureNumbers:
    """Statistics of a map over the picture: their mean, and how much the map depends on the place, in [0, 1]."""

    mean: MapStatistics
    dependence: float


def picture_numbers(prediction: Prediction, map_: SpatialMap, direction: Direction) -> PictureNumbers | None:
    """The statistics over spread places; None if the weights are not a distribution."""
    places = spread_places(map_.grid, PLACES)
    if map_.may_be_empty:
        places = tuple(place for place in places if float(attention_weights(map_, *place, direction).sum()) > 0)
    size, labels = prediction.labels.shape, fine_labels(prediction, map_)
    try:
        mean = mean_statistics(map_, places, labels, (size[0], size[1]), direction)
        return PictureNumbers(mean, query_dependence(map_, places, direction))
    except ValueError:
        return None


def point_numbers(
    prediction: Prediction, map_: SpatialMap, y: int, x: int, direction: Direction
) -> MapStatistics | None:
    """The statistics of an image pixel's map; None if the weights are all 0 or not a distribution."""
    size = prediction.labels.shape
    return numbers_at(map_, (y, x), (size[0], size[1]), fine_labels(prediction, map_), direction)


def numbers_at(
    map_: SpatialMap, place: Grid, size: Grid, labels: Labels | None, direction: Direction
) -> MapStatistics | None:
    """The statistics of an image pixel's map; None if the weights are all 0 or not a distribution.

    The own class is the class of the pixel, even if most of its cell has another; without labels it stays open.
    """
    cell, classes = map_.cell(*place, *size), None
    if labels is not None:
        classes = cell_classes(map_, labels)
        classes[cell] = labels[place]
    try:
        return statistics_of(map_, cell, classes, size, direction)
    except ValueError:
        return None


def panel_numbers(
    panel: Panel, place: Grid, size: Grid, labels: Labels | None, direction: Direction
) -> MapStatistics | None:
    """What the map of a network's own panel alone says at an image pixel.

    None where the panel has no map from place to place, or not for this pixel; and as `numbers_at`. A map over a crop
    has no class. Distances are in pixels of the picture, and in shares of its diagonal.

    Args:
        panel: the panel.
        place: the pixel (y, x).
        size: the picture's (height, width).
        labels: the network's classes; None where it has none.
        direction: where the place looks, or who looks at it.
    """
    one, region = panel.map, panel.region or Region(0, 0, *size)
    if place not in region:
        return None
    inside, found = region.inside(place), None
    if isinstance(one, SpatialMap):
        known = None if panel.region or labels is None or not has_pixel_in_each_cell(one, size) else labels
        found = numbers_at(one, inside, region.size, known, direction)
    elif isinstance(one, HeadMap):
        with suppress(ValueError):  # weights of both signs, or none
            found = network_statistics(one, inside, region.size, direction, panel.head)
    if found is None:
        return None
    ratio = math.hypot(*region.size) / math.hypot(*size)
    return replace(found, distance_share=found.distance_share * ratio, distance_even=found.distance_even * ratio)


def fine_labels(prediction: Prediction, map_: SpatialMap) -> Labels | None:
    """The predicted classes; None if the picture has fewer pixels than the grid has cells along a side."""
    return prediction.labels if has_pixel_in_each_cell(map_, prediction.labels.shape) else None


def recorded_numbers(map_: SpatialMap, measured: MeasuredMap) -> MapStatistics:
    """A map's means over a data set, from its checkpoint's record, as statistics; NaN where it has none.

    The entropy in bits is known where all places choose between equally many cells, strips or samples.
    """
    trained, even = measured.trained, measured.even
    values = (trained.entropy, trained.distance, even.distance, trained.own_class_weight, trained.own_class_even)
    share, distance, even_distance, own, own_even = (math.nan if value is None else value for value in values)
    count = choice_count(map_, measured.grid)
    bits = math.nan if count is None else share * math.log2(count)
    return MapStatistics(bits, share, math.nan, distance, even_distance, own, own_even, math.nan)


def choice_count(map_: SpatialMap, grid: Grid) -> int | None:
    """Between how many a place chooses on a grid; None where that differs by place, or may differ from the map's."""
    if map_.choices is None:
        return math.prod(grid) if map_.reaches_all else None
    return map_.choices.shape[1] if map_.grid == grid else None


def same_pixel_columns(rows: Sequence[MapRow]) -> Columns:
    """The table's values by column, for a page or a file; None where there is no number."""
    return tabulate(rows, SAME_PIXEL_COLUMNS)
