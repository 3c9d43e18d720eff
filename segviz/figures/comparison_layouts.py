"""Figures that put classes beside one another: models, a model without and with a part, and the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segviz.figures.content import Classes
from segviz.figures.figure_input import DEFAULT_STYLE, FigureInput, Style, classes_of_labels, comparable_labels
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.interesting_places import box_around, find_disputed_box
from segviz.figures.map_subplots import labels_subplot
from segviz.figures.subplot import Box, Subplot
from segviz.figures.subplot_rows import SubplotRow, add_marks, drop_repeated_titles

PATCH_SIDES = 2.0  # the sides of a patch over those of its box
LABEL_OPACITY = 0.75
RED = "#E41A1C"


def lay_out_classes(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """FLANet Fig. 5: the picture, each model's classes, and the ground truth where it is known.

    Boxes mark the given places, or the place where the models with the classes of the first one disagree most.
    """
    return lay_out_whole(inputs, "Classes by model, after FLANet Fig. 5")


def lay_out_branches(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """PSANet Fig. 5: the picture, the classes without PSA, with collect alone and with both, and the ground truth."""
    return lay_out_whole(inputs, "Without PSA, with collect, with both, after PSANet Fig. 5")


def lay_out_whole(inputs: Sequence[FigureInput], title: str) -> FigureSpec:
    """Whole pictures, a box on each, and below them what the box contains, enlarged."""
    rows: list[SubplotRow] = []
    for item in inputs:
        row, boxes = classes_row(item, inputs), boxes_of(item)
        rows.append(tuple(add_marks(row, boxes=boxes)))
        rows += [tuple(one and replace(cut(one, box, 1.0), boxes=()) for one in row) for box in boxes]
    return FigureSpec(title, drop_repeated_titles(rows), opacity=LABEL_OPACITY)


def lay_out_without_and_with_sam(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """AttaNet Fig. 6: patches of pictures with the classes without and with SAM; red squares mark what changes."""
    return lay_out_patches(inputs, "Without and with SAM, after AttaNet Fig. 6")


def lay_out_without_and_with_afm(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """AttaNet Fig. 7: patches of pictures with the classes without and with AFM; red squares mark what changes."""
    return lay_out_patches(inputs, "Without and with AFM, after AttaNet Fig. 7")


def lay_out_patches(inputs: Sequence[FigureInput], title: str) -> FigureSpec:
    """A patch of each picture around each box; the whole picture where the models agree everywhere."""
    rows: list[SubplotRow] = []
    for item in inputs:
        for box in boxes_of(item) or (None,):
            row = classes_row(item, inputs)
            rows.append(tuple(row) if box is None else tuple(one and cut(one, replace(box, colour=RED)) for one in row))
    return FigureSpec(title, drop_repeated_titles(rows), opacity=LABEL_OPACITY)


def boxes_of(item: FigureInput) -> tuple[Box, ...]:
    """A box around each given place, or around where the models disagree most; none where they agree everywhere."""
    given = tuple(box_around(place, item.image) for place in item.places)
    return given or find_disputed_box(comparable_labels(item), item.image)


def classes_row(item: FigureInput, inputs: Sequence[FigureInput]) -> list[Subplot | None]:
    """The picture, each model's classes, and the ground truth; None where other pictures have one."""
    row: list[Subplot | None] = [Subplot("image", item.image)]
    row += [labels_subplot(item.image, prediction, name) for name, prediction in item.predictions.items()]
    return [*row, *truth_cell(item, inputs)]


def truth_cell(item: FigureInput, inputs: Sequence[FigureInput]) -> list[Subplot | None]:
    """The ground truth's cell; empty where no picture of the figure has one."""
    if all(one.labels is None for one in inputs):
        return []
    if item.labels is None:
        return [None]
    content = Classes(item.labels, classes_of_labels(item), outlined=True)
    return [Subplot("ground truth", item.image, content, "ground_truth")]


def cut(subplot: Subplot, box: Box, sides: float = PATCH_SIDES) -> Subplot:
    """The part of a subplot of classes around a box, with the box; its sides are so many times those of the box."""
    height, width = subplot.image.shape[:2]
    top, bottom = cut_side(box.top, box.bottom, height, sides)
    left, right = cut_side(box.left, box.right, width, sides)
    moved = replace(box, top=box.top - top, bottom=box.bottom - top, left=box.left - left, right=box.right - left)
    content = subplot.content
    if isinstance(content, Classes):
        content = replace(content, labels=content.labels[top:bottom, left:right])
    return replace(subplot, image=subplot.image[top:bottom, left:right], content=content, boxes=(moved,))


def cut_side(first: float, last: float, most: int, sides: float) -> tuple[int, int]:
    """Where a patch begins and ends along one side, `sides` times as long as its box and within the picture."""
    length = max(1, min(most, round((last - first) * sides)))
    start = min(max(0, round((first + last - length) / 2)), most - length)
    return start, start + length
