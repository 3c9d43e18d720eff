"""PSANet Fig. 3: what a place predicts for every relative position, and the window of it that is valid there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segviz.figures.colour import signed_scale
from segviz.figures.content import Heat
from segviz.figures.figure_input import DEFAULT_STYLE, FigureInput, Style, masks_of
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.map_subplots import map_subplot
from segviz.figures.subplot import Box, Mark, Subplot
from segviz.figures.subplot_rows import SubplotRow, drop_repeated_titles
from segviz.image import Rgb, resize
from segviz.prediction.over_complete import OverCompleteMap

CELL_PIXELS = 16  # side of a cell on the canvas
BARE = 255
WINDOW_COLOUR, OWN_COLOUR = "#1a1a1a", "#FF3B30"


def lay_out_over_complete(inputs: Sequence[FigureInput], style: Style = DEFAULT_STYLE) -> FigureSpec:
    """PSANet Fig. 3: the over-complete map of each place and branch, its valid window dashed, and the mask cut out.

    Raises:
        ValueError: no model has such masks.
    """
    rows: list[SubplotRow] = []
    for item in inputs:
        masks = masks_of(item)
        masks = [one for one in masks if one[0] == masks[0][0]]  # of the model whose over-complete maps these are
        for place, found in zip(item.places, item.over_complete, strict=True):
            row = [Subplot("image", item.image, marks=(Mark(*place),))]
            for model, mask in masks:
                row.append(over_complete_subplot(item.image, found[mask.direction], model, place))
                window = map_subplot(
                    item.image, mask, mask.main_look, place, model=model, kind=style.kind, colours=style.colours
                )
                row.append(replace(window, title=f"{mask.direction}: mask"))
            rows.append(tuple(row))
    return FigureSpec("Over-complete maps and their valid windows, after PSANet Fig. 3", drop_repeated_titles(rows))


def over_complete_subplot(image: Rgb, found: OverCompleteMap, model: str, place: tuple[int, int]) -> Subplot:
    """The over-complete map over a canvas that has the picture where the window is valid."""
    rows, columns = found.values.shape
    top, left = found.window
    canvas = np.full((rows * CELL_PIXELS, columns * CELL_PIXELS, 3), BARE, np.uint8)
    small = resize(image, (found.grid[0] * CELL_PIXELS, found.grid[1] * CELL_PIXELS))
    down, across = (slice(max(0, at), max(0, min(at + count, most))) for at, count, most in
                    zip((top, left), found.grid, (rows, columns), strict=True))  # fmt: skip
    canvas[in_pixels(down, 0), in_pixels(across, 0)] = small[in_pixels(down, top), in_pixels(across, left)]
    middle = ((rows - 1) // 2, (columns - 1) // 2)  # relative position 0: the cell itself
    own = box_of_cells(slice(middle[0], middle[0] + 1), slice(middle[1], middle[1] + 1), OWN_COLOUR)
    window = replace(box_of_cells(down, across, WINDOW_COLOUR), dashed=True)
    content = Heat(found.values, signed_scale(found.values), "logit", "signed", smooth=False)
    name = f"{found.direction}_{place[0]}_{place[1]}_over_complete"
    return Subplot(f"{found.direction}: over-complete", canvas, content, name, model, place, (), (window, own))


def box_of_cells(down: slice, across: slice, colour: str) -> Box:
    """A box around cells of the canvas."""
    rows, columns = in_pixels(down, 0), in_pixels(across, 0)
    return Box(rows.start, columns.start, rows.stop, columns.stop, colour)


def in_pixels(cells: slice, start: int) -> slice:
    """The pixels of cells, counted from the cell `start`."""
    return slice((cells.start - start) * CELL_PIXELS, (cells.stop - start) * CELL_PIXELS)
