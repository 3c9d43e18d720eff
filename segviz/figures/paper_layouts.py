"""The papers' own figures, for any pictures: each layout takes pictures with their predictions and returns a spec."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import UInt8

from segviz.attention.maps import (
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.data.classes import ClassSet
from segviz.figures.colour import ScaleKind
from segviz.figures.figure_spec import Box, Classes, FigureSpec, Mark, Subplot, share_scale
from segviz.figures.interesting_places import box_around, find_disputed_box
from segviz.figures.map_subplots import (
    Feature,
    feature_subplot,
    labels_subplot,
    map_subplot,
    strip_at,
    strip_box,
    strip_heat,
    weights_heat,
)
from segviz.image import Rgb
from segviz.prediction.prediction import Place, Prediction
from segviz.text import pixel_text

IN_ONE_ROW, WRAPPED_COLUMNS = 6, 4  # up to so many subplots stand side by side; more are wrapped
STRIP_COLOURS = ("#D55E00", "#56B4E9", "#F0E442", "#009E73")
UNITS = "× even share"
SubplotRow = tuple[Subplot | None, ...]


@dataclass(frozen=True)
class FigureInput:
    """One picture of a figure, what each model made of it, the pixels (y, x) asked about, and the true classes."""

    image: Rgb
    predictions: Mapping[str, Prediction]
    places: tuple[Place, ...] = ()
    labels: UInt8[np.ndarray, "height width"] | None = None


@dataclass(frozen=True)
class Style:
    """What can be chosen about a figure.

    Attributes:
        feature: fla-6: "output" is F_o, the block's output; "context" is what it added, before gamma and residual.
        colours: a name of COLOUR_MAPS.
        kind: of the scale of weights.
        shared: one scale for the maps of a row; each map's own if not.
    """

    feature: Feature | Literal["both"] = "output"
    colours: str = "viridis"
    kind: ScaleKind = "linear"
    shared: bool = False


DEFAULT_STYLE = Style()


def lay_out_classes(shown: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """FLANet Fig. 5: the classes by each model beside the picture, and the true ones where they are known.

    The boxes stand where the models disagree most, or around the places that were named.
    """
    truth = any(one.labels is not None for one in shown)
    rows = []
    for one in shown:
        votes = [prediction.labels for prediction in one.predictions.values()]
        boxes = tuple(box_around(place, one.image) for place in one.places) or find_disputed_box(votes, one.image)
        row: list[Subplot | None] = [Subplot("image", one.image)]
        row += [labels_subplot(one.image, prediction, name) for name, prediction in one.predictions.items()]
        if one.labels is not None:
            row.append(Subplot("ground truth", one.image, Classes(one.labels, classes_of(one), True), "ground_truth"))
        elif truth:
            row.append(None)
        rows.append(add_marks(row, boxes=boxes))
    return FigureSpec("Classes by model, after FLANet Fig. 5", drop_repeated_titles(rows), opacity=0.75)


def lay_out_attended_features(shown: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """FLANet Fig. 6: attended features averaged over channels, from the least to the largest of each picture."""
    looks: tuple[Feature, ...] = ("output", "context") if style.feature == "both" else (style.feature,)
    rows = [
        (
            Subplot("image", one.image),
            *(
                feature_subplot(one.image, prediction.attended, look, model=model, colours=style.colours)
                for model, prediction in one.predictions.items()
                for look in looks
            ),
        )
        for one in shown
    ]
    return FigureSpec("Attended features, after FLANet Fig. 6", drop_repeated_titles(rows))


def lay_out_strips(shown: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """AttaNet Fig. 9: how much every pixel reads each chosen strip; the places choose the strips.

    Raises:
        ValueError: a model has no strips.
    """
    rows = []
    for one in shown:
        model, strips = first_map_of(one, StripAttention, "sam")
        chosen = [strip_at(strips, place, one.image) for place in one.places]
        line = "column" if strips.axis == "vertical" else "row"
        boxes = tuple(
            strip_box(strips, strip, one.image, STRIP_COLOURS[number % len(STRIP_COLOURS)])
            for number, strip in enumerate(chosen)
        )
        subplots = [
            Subplot(
                f"{line} {strip}", one.image, strip_heat(strips, strip, style.kind, style.colours),
                f"{strips.name}_{strip}", model, place, boxes=(box,),
            )
            for strip, place, box in zip(chosen, one.places, boxes, strict=True)
        ]  # fmt: skip
        rows.append((Subplot("image", one.image, boxes=boxes), *share_scale(subplots)))
    return FigureSpec("Attention to strips, after AttaNet Fig. 9", drop_repeated_titles(rows))


def lay_out_point_masks(shown: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """PSANet Fig. 6: for each point what it collects and to whom it distributes, each mask by its own maximum.

    Raises:
        ValueError: a model has no such masks.
    """
    rows = []
    for one in shown:
        for place in one.places:
            row: list[Subplot | None] = [Subplot("image", one.image, marks=(Mark(*place),))]
            for model, mask in masks_of(one):
                look: Literal["attends_to", "attended_by"] = (
                    "attends_to" if mask.direction == "collect" else "attended_by"
                )
                found = map_subplot(one.image, mask, look, place, model=model, kind=style.kind, colours=style.colours)
                row.append(replace(found, title=mask.direction))
            rows.append((row[0], *share_row_scale(row[1:], style)))
    return FigureSpec("Collect and distribute, after PSANet Fig. 6", drop_repeated_titles(rows))


def lay_out_samples(shown: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """SSANet's samples: for each point its K places coloured by weight, the undisplaced window faint.

    Raises:
        ValueError: a model has no samples.
    """
    rows = []
    for one in shown:
        model, sampled = first_map_of(one, SampledAttention, "snl")
        row = []
        for place in one.places:
            subplot = map_subplot(
                one.image, sampled, "points", place, model=model, kind=style.kind, colours=style.colours
            )
            row.append(replace(subplot, title=samples_title(subplot, sampled)))
        rows.append(tuple(row))
    width = max(map(len, rows))
    columns = min(width, WRAPPED_COLUMNS)
    return FigureSpec("Sampled places (SSANet)", tuple(line for row in rows for line in wrap_row(row, columns)))


def samples_title(subplot: Subplot, sampled: SampledAttention) -> str:
    """How many samples a place has, and how many of them fell outside the picture."""
    at = next(values for name, values in subplot.arrays().items() if name.endswith("positions"))
    outside = ((at < -0.5) | (at > np.array(subplot.image.shape[:2]) - 0.5)).any(1).sum()
    assert subplot.place is not None
    return f"{len(sampled.window)} samples of ({subplot.place[0]}, {subplot.place[1]}), {outside} outside"


def lay_out_comparison(shown: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """The same pixel's attention in every model, above it each model's classes.

    Grids differ in size, so weights are given as multiples of the even share, 1 / cells.
    """
    count = 1 + len(shown[0].predictions)
    columns = count if count <= IN_ONE_ROW else WRAPPED_COLUMNS
    rows: list[SubplotRow] = []
    for one in shown:
        labels = [labels_subplot(one.image, prediction, name) for name, prediction in one.predictions.items()]
        rows += wrap_row([Subplot("image", one.image), *labels], columns)
        for number, place in enumerate(one.places, 1 if len(one.places) > 1 else 0):
            rows += wrap_row(compare_place(one, Mark(*place, number), style), columns)
    return FigureSpec("One place in every model", tuple(rows))


def compare_place(one: FigureInput, mark: Mark, style: Style) -> list[Subplot | None]:
    """One place's attention in every model, beside the picture with the place."""
    place = (mark.y, mark.x)
    row: list[Subplot | None] = []
    for model, prediction in one.predictions.items():
        spatial = first_spatial(prediction)
        if spatial is None:
            row.append(Subplot(f"{model}: no map over places", one.image))
            continue
        weights = spatial.attends_to(*spatial.cell(*place, *one.image.shape[:2])).numpy()
        heat = weights_heat(spatial, weights * weights.size, style.kind, style.colours)
        name = f"{model}_{spatial.name}_{mark.y}_{mark.x}"
        content = replace(heat, unit=UNITS, even=None if heat.even is None else 1.0)
        row.append(Subplot(f"{model}: {spatial.name}", one.image, content, name, model, place))
    return add_marks([Subplot(f"from {pixel_text(*place)}", one.image), *share_row_scale(row, style)], marks=(mark,))


# ---- the parts of a layout ---------------------------------------------------------------------------------


def drop_repeated_titles(rows: Sequence[Sequence[Subplot | None]]) -> tuple[SubplotRow, ...]:
    """Rows of equal columns: a title that the column's head says already is left out."""
    head = rows[0]
    found: list[SubplotRow] = [tuple(head)]
    for row in rows[1:]:
        titles = [subplot.title if subplot else "" for subplot in head] + [""] * len(row)
        found.append(
            tuple(
                subplot and (replace(subplot, title="") if subplot.title == title else subplot)
                for subplot, title in zip(row, titles, strict=False)
            )
        )
    return tuple(found)


def add_marks(
    row: Sequence[Subplot | None], marks: tuple[Mark, ...] = (), boxes: tuple[Box, ...] = ()
) -> list[Subplot | None]:
    """The same marks on every subplot."""
    return [subplot and replace(subplot, marks=subplot.marks + marks, boxes=subplot.boxes + boxes) for subplot in row]


def share_row_scale(row: Sequence[Subplot | None], style: Style) -> list[Subplot | None]:
    """The row on one scale, where the style asks for it."""
    return [*share_scale([subplot for subplot in row if subplot])] if style.shared else list(row)


def wrap_row(row: Sequence[Subplot | None], columns: int) -> list[SubplotRow]:
    """A row broken into lines of so many columns, the last one filled with empty cells."""
    lines = math.ceil(len(row) / columns)
    filled = [*row, *[None] * (lines * columns - len(row))]
    return [tuple(filled[first : first + columns]) for first in range(0, len(filled), columns)]


def classes_of(one: FigureInput) -> ClassSet:
    """The classes of a picture's models."""
    return next(iter(one.predictions.values())).class_set


def first_spatial(prediction: Prediction) -> SpatialMap | None:
    """The model's first map over places; None where it has none."""
    return next((one for one in prediction.maps.values() if isinstance(one, SpatialMap)), None)


def masks_of(one: FigureInput) -> list[tuple[str, OffsetMaskAttention]]:
    """The masks of a picture's models.

    Raises:
        ValueError: there are none.
    """
    first_map_of(one, OffsetMaskAttention, "psa")
    return [
        (name, value)
        for name, prediction in one.predictions.items()
        for value in prediction.maps.values()
        if isinstance(value, OffsetMaskAttention)
    ]


MapKind = TypeVar("MapKind", bound=SpatialMap)


def first_map_of(one: FigureInput, kind: type[MapKind], usual: str) -> tuple[str, MapKind]:
    """The first map of a kind among a picture's predictions, and its model.

    Raises:
        ValueError: no model has one.
    """
    for name, prediction in one.predictions.items():
        for value in prediction.maps.values():
            if isinstance(value, kind):
                return name, value
    raise ValueError(
        f"{', '.join(one.predictions)} has no map of the kind that this figure shows; use --models {usual}"
    )
