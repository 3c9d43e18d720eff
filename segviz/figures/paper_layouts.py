"""The papers' own figures, for any pictures: each layout turns pictures and predictions into a figure spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segviz.attention.maps import (
    SampledAttention,
    StripAttention,
)
from segviz.figures.comparison_layouts import truth_cell
from segviz.figures.figure_input import (
    DEFAULT_STYLE,
    FigureInput,
    Style,
    first_map_of,
    first_spatial,
    masks_of,
)
from segviz.figures.figure_spec import FigureSpec
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
from segviz.figures.subplot import Mark, Subplot, share_scale
from segviz.figures.subplot_rows import SubplotRow, add_marks, drop_repeated_titles, wrap_row
from segviz.text import pixel_text

IN_ONE_ROW, WRAPPED_COLUMNS = 6, 4  # a row of more than 6 subplots is wrapped into lines of 4
STRIP_COLOURS = ("#D55E00", "#56B4E9", "#F0E442", "#009E73")
UNITS = "× even share"


def lay_out_attended_features(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """FLANet Fig. 6: attended features averaged over channels, each on a scale from minimum to maximum."""
    looks: tuple[Feature, ...] = ("output", "context") if style.feature == "both" else (style.feature,)
    rows = [
        (
            Subplot("image", item.image),
            *(
                feature_subplot(item.image, prediction.attended, look, model=model, colours=style.colours)
                for model, prediction in item.predictions.items()
                for look in looks
            ),
        )
        for item in inputs
    ]
    return FigureSpec("Attended features, after FLANet Fig. 6", drop_repeated_titles(rows))


def lay_out_strips(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """AttaNet Fig. 9: how much every pixel reads the strips that contain the places, the classes, and the ground truth.

    Raises:
        ValueError: no model has strips.
    """
    rows = []
    for item in inputs:
        model, strips = first_map_of(item, StripAttention, "sam")
        chosen = [strip_at(strips, place, item.image) for place in item.places]
        line = "column" if strips.axis == "vertical" else "row"
        boxes = tuple(
            strip_box(strips, strip, item.image, STRIP_COLOURS[number % len(STRIP_COLOURS)])
            for number, strip in enumerate(chosen)
        )
        subplots = [
            Subplot(
                f"{line} {strip}", item.image, strip_heat(strips, strip, style.kind, style.colours),
                f"{strips.name}_{strip}", model, place, boxes=(box,),
            )
            for strip, place, box in zip(chosen, item.places, boxes, strict=True)
        ]  # fmt: skip
        classes = labels_subplot(item.image, item.predictions[model], "prediction")
        shown = (Subplot("image", item.image, boxes=boxes), *share_scale(subplots), classes)
        rows.append((*shown, *truth_cell(item, inputs)))
    return FigureSpec("Attention to strips, after AttaNet Fig. 9", drop_repeated_titles(rows))


def lay_out_point_masks(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """PSANet Fig. 6: what each point collects and where it distributes, each mask on its own scale.

    Raises:
        ValueError: no model has such masks.
    """
    rows = []
    for item in inputs:
        for place in item.places:
            row: list[Subplot | None] = [Subplot("image", item.image, marks=(Mark(*place),))]
            for model, mask in masks_of(item):
                subplot = map_subplot(
                    item.image, mask, mask.main_look, place, model=model, kind=style.kind, colours=style.colours
                )
                row.append(replace(subplot, title=mask.direction))
            rows.append((row[0], *share_row_scale(row[1:], style)))
    return FigureSpec("Collect and distribute, after PSANet Fig. 6", drop_repeated_titles(rows))


def lay_out_samples(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """SSANet's samples: the K positions of each point, coloured by weight; small crosses mark the undisplaced window.

    Raises:
        ValueError: no model has samples.
    """
    rows = []
    for item in inputs:
        model, sampled = first_map_of(item, SampledAttention, "snl")
        row = []
        for place in item.places:
            subplot = map_subplot(
                item.image, sampled, "points", place, model=model, kind=style.kind, colours=style.colours
            )
            row.append(replace(subplot, title=samples_title(subplot, sampled)))
        rows.append(tuple(row))
    width = max(map(len, rows))
    columns = min(width, WRAPPED_COLUMNS)
    return FigureSpec("Sampled places (SSANet)", tuple(line for row in rows for line in wrap_row(row, columns)))


def samples_title(subplot: Subplot, sampled: SampledAttention) -> str:
    """The number of samples of a place, and how many of them lie outside the picture."""
    at = next(values for name, values in subplot.arrays().items() if name.endswith("positions"))
    outside = ((at < -0.5) | (at > np.array(subplot.image.shape[:2]) - 0.5)).any(1).sum()
    assert subplot.place is not None
    return f"{len(sampled.window)} samples of ({pixel_text(*subplot.place)}), {outside} outside"


def lay_out_comparison(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """Each model's classes, and below them the attention of the same pixel in every model.

    Grids differ in size, so weights are multiples of the even share, 1 / cells.
    """
    count = 1 + len(inputs[0].predictions)
    columns = count if count <= IN_ONE_ROW else WRAPPED_COLUMNS
    rows: list[SubplotRow] = []
    for item in inputs:
        labels = [labels_subplot(item.image, prediction, name) for name, prediction in item.predictions.items()]
        rows += wrap_row([Subplot("image", item.image), *labels], columns)
        for number, place in enumerate(item.places, 1 if len(item.places) > 1 else 0):
            rows += wrap_row(compare_place(item, Mark(*place, number), style), columns)
    return FigureSpec("One place in every model", tuple(rows))


def compare_place(item: FigureInput, mark: Mark, style: Style) -> list[Subplot | None]:
    """One place in the picture, and its attention in every model."""
    place = (mark.y, mark.x)
    row: list[Subplot | None] = []
    for model, prediction in item.predictions.items():
        spatial = first_spatial(prediction)
        if spatial is None:
            row.append(Subplot(f"{model}: no map over places", item.image))
            continue
        weights = spatial.attends_to(*spatial.cell(*place, *item.image.shape[:2])).numpy()
        heat = weights_heat(spatial, weights * weights.size, style.kind, style.colours)
        name = f"{model}_{spatial.name}_{mark.y}_{mark.x}"
        content = replace(heat, unit=UNITS, even=None if heat.even is None else 1.0)
        row.append(Subplot(f"{model}: {spatial.name}", item.image, content, name, model, place))
    return add_marks([Subplot(f"from {pixel_text(*place)}", item.image), *share_row_scale(row, style)], marks=(mark,))


def share_row_scale(row: Sequence[Subplot | None], style: Style) -> list[Subplot | None]:
    """Puts the row on one scale if the style asks for it."""
    return [*share_scale([subplot for subplot in row if subplot])] if style.shared else list(row)
