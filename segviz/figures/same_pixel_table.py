"""The same place in every model's maps: which maps there are, why some models have none, and the numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from segviz.attention.cells import Labels, cell_classes, spread_places
from segviz.attention.maps import (
    AxisChannelAttention,
    ChannelAttention,
    Direction,
    Gate,
    SpatialMap,
    attention_weights,
)
from segviz.attention.statistics import MapStatistics, line_dependence, mean_statistics, query_dependence, statistics_of
from segviz.models.registry import SPECS
from segviz.prediction.prediction import Prediction
from segviz.table import Columns, finite_or_none
from segviz.text import join_with_commas

PLACES = 36  # about as many, spread over the picture, stand for all of its places
LINES = 8  # of FLA's rows and columns


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: its head.
        meaning: in a sentence, for those who point at the head.
        of: its value of a row; numbers that are not there are NaN or None.
        format: how numbers are written; None for text.
    """

    title: str
    meaning: str
    of: Callable[[MapRow], str | float | None]
    format: str | None = "%.1f"


@dataclass(frozen=True)
class MapRow:
    """A map at a point, or over the whole picture; None where there is no number."""

    point: str
    model: str
    own: str | None
    numbers: MapStatistics | None
    dependence: float | None


def statistic(field: str, factor: float = 1) -> Callable[[MapRow], float | None]:
    """A field of the row's statistics."""
    return lambda row: None if row.numbers is None else factor * float(getattr(row.numbers, field))


SAME_PIXEL_COLUMNS = (
    Column(
        "Point", f"The pinned point's number, or the mean over {PLACES} or so places spread evenly over the picture.",
        lambda row: row.point, None,
    ),
    Column("Model", "The model, and which of its maps where it has two.", lambda row: row.model, None),
    Column("Class", "What the model sees at the point.", lambda row: row.own, None),
    Column(
        "Entropy (bits)", "0: all weight lies on one cell. 2 to its power is a number of cells.",
        statistic("entropy_bits"), "%.2f",
    ),
    Column(
        "Of even (%)", "The entropy over that of even weights: what grids of different sizes can be compared by.",
        statistic("normalised_entropy", 100),
    ),
    Column(
        "Distance (%)", "Mean distance of the weight from the point, in percent of the picture's diagonal.",
        statistic("distance_share", 100),
    ),
    Column(
        "Own class (%)", "Share of the weight on cells of the point's class, as the model sees them.",
        statistic("own_class_share", 100),
    ),
    Column(
        "Its cells (%)", "Share of such cells in the picture: what even weights would have on the own class.",
        statistic("own_class_even", 100),
    ),
    Column(
        "Depends (%)", "How much the map depends on the point: mean total variation distance between maps of places "
        "spread over the picture. 0: all look at the same cells; 100: no two share a cell.",
        lambda row: None if row.dependence is None else 100 * row.dependence,
    ),
    Column("Distance (px)", "The distance in pixels of the picture.", statistic("distance_pixels")),
    Column(
        "Outside (%)", "Share of the weight on samples outside of the picture (SNL).", statistic("missing_share", 100),
    ),
)  # fmt: skip


def map_title(prediction: Prediction, map_: SpatialMap) -> str:
    """The model's title, and the map's name where there are two."""
    title = SPECS[prediction.model].title
    return title if len(prediction.spatial_maps) == 1 else f"{title}: {map_.name}"


def map_note(prediction: Prediction, map_: SpatialMap) -> str:
    """The grid that the weights are shares of, and what has to be known of the map."""
    cells = f"{map_.grid[0]} × {map_.grid[1]} cells"
    return f"{cells}, {map_.remark}" if map_.remark else cells


def no_map_words(prediction: Prediction) -> str:
    """Why a model has no map from place to place, in a few words for its panel."""
    return "; ".join(dict.fromkeys(one.short_reason for one in prediction.channel_maps)) or "no block, no map"


def no_map_sentences(predictions: Sequence[Prediction]) -> list[str]:
    """A sentence for each way of having no map, and how much the point counts all the same."""
    sentences = [
        f"**{SPECS[one.model].title}** has no attention block: beyond its convolutions no place looks at another."
        for one in predictions
        if not one.maps
    ]
    one_matrix: list[str] = []
    matrix_a_line: dict[str, list[str]] = {}
    for one in predictions:
        title = f"**{SPECS[one.model].title}**"
        for map_ in one.channel_maps:
            match map_:
                case ChannelAttention():
                    one_matrix.append(f"the channel part of {title}" if one.spatial_maps else title)
                case AxisChannelAttention():
                    apart = 100 * line_dependence(map_, spread_lines(map_))
                    matrix_a_line.setdefault(title, []).append(f"{map_.axis} by {apart:.1f} %")
                case Gate():
                    pass  # a part of the way to the block, not of the block
                case _:
                    assert_never(map_)
    if one_matrix:
        names = join_with_commas(one_matrix)
        sentences.append(
            f"{names[0].upper()}{names[1:]}: a product that sums over all places gives one matrix of channels, so it "
            "is the same for every point. FLANet calls that the *attention missing* of channels."
        )
    for title, apart_by_axis in matrix_a_line.items():
        sentences.append(
            f"{title} relates channels too, but by a matrix for every row and every column of the grid, so the place "
            f"counts: the matrices of its {join_with_commas(apart_by_axis)} apart (mean total variation distance). "
            "FLANet shows it by its attended features: see the page FLA."
        )
    return sentences


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
    """The numbers of an image pixel's map; None where all its weights are 0 or the map is no distribution.

    The own class is the pixel's, whatever most of its cell may be.
    """
    height, width = prediction.labels.shape
    cell, labels, classes = map_.cell(y, x, height, width), fine_labels(prediction, map_), None
    if labels is not None:
        classes = cell_classes(map_, labels)
        classes[cell] = labels[y, x]
    try:
        return statistics_of(map_, cell, classes, (height, width), direction)
    except ValueError:
        return None


def fine_labels(prediction: Prediction, map_: SpatialMap) -> Labels | None:
    """The predicted classes; None where the picture has fewer pixels than the grid has cells."""
    fine = all(size >= cells for size, cells in zip(prediction.labels.shape, map_.grid, strict=True))
    return prediction.labels if fine else None


def same_pixel_columns(rows: Sequence[MapRow]) -> Columns:
    """The rows by columns, for a page or a file; None where there is no number."""
    return {column.title: [finite_or_none(column.of(row)) for row in rows] for column in SAME_PIXEL_COLUMNS}
