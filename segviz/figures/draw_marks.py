"""Draws marked pixels and boxes with matplotlib, beside the cell that they mark and never over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.path import Path

from segviz.attention.head_map import covered_size
from segviz.attention.region import Region
from segviz.figures.colour import text_colour
from segviz.figures.content import Heat
from segviz.figures.overlay import cells_along_side, pixel_of_cell
from segviz.figures.page import LEAST, SMALL
from segviz.figures.place_labels import place_labels
from segviz.figures.subplot import Box, Mark, Subplot

RING = 4.5  # points: the diameter of a ring
RING_EDGES = (("white", 2.0), (None, 1.1))  # colour, or the mark's own, and width in points
CLEAR = 4.0  # points: by this a ring is wider, and what a drop leaves free is higher, than the cell
DROP_SIZE = 20.0  # points; matplotlib scales a marker so that its farthest vertex lies at half its size
DROP_MIDDLE = 0.5 * math.sqrt(2) / (1 + math.sqrt(2))  # centre of the circle, as a share of DROP_SIZE
LETTER_SHARE = 1.15  # of the font's size: the side of a label of one letter
LINE_FROM = 2.0  # points: a label further from its box has a line to it
SMALL_CELL = 2 * RING  # points: a mark would hide a cell that is smaller along a side


@dataclass(frozen=True)
class Spot:
    """Where a mark is drawn: the pixel itself, or the small cell of the map that contains it.

    Attributes:
        y: the middle, in pixels of the picture.
        x: likewise.
        tall: height that a drop leaves free, in pixels of the picture; 0 for a pixel.
        diagonal: length of the cell's diagonal, in points; 0 for a pixel.
    """

    y: float
    x: float
    tall: float = 0.0
    diagonal: float = 0.0


def draw_marks(axes: Axes, subplot: Subplot, across: float) -> None:
    """Draws the boxes and marks of a subplot whose picture is `across` inches wide."""
    for box in subplot.boxes:
        draw_box(axes, box)
    letter_boxes(axes, subplot, 72 * across)
    for mark in subplot.marks:
        spot = find_spot(subplot, mark, 72 * across)
        if mark.number:
            draw_drop(axes, mark, spot, below=is_low(mark, subplot))
        else:
            draw_ring(axes, mark, spot)


def find_spot(subplot: Subplot, mark: Mark, points: float) -> Spot:
    """Where a mark belongs on a picture that is `points` wide: around its cell if it would hide it."""
    if not isinstance(subplot.content, Heat):
        return Spot(mark.y, mark.x)
    region = subplot.content.region or Region(0, 0, subplot.image.shape[0], subplot.image.shape[1])
    if (mark.y, mark.x) not in region:
        return Spot(mark.y, mark.x)
    size = covered_size(region.size, subplot.content.covers)
    grid = subplot.content.values.shape
    features = subplot.content.features or grid
    sides = zip(region.inside((mark.y, mark.x)), size, grid, features, strict=True)
    cell = [cells_along_side(*side)[at] for at, *side in sides]
    corners = np.add(cell, [[-0.5, -0.5], [0.0, 0.0], [0.5, 0.5]])
    ends = pixel_of_cell(corners, (size[0], size[1]), (grid[0], grid[1]), (features[0], features[1]))
    first, middle, last = ends + np.array([region.top, region.left])
    tall, wide = (last - first).tolist()
    scale = points / subplot.image.shape[1]
    if min(tall, wide) * scale >= SMALL_CELL:
        return Spot(mark.y, mark.x)
    return Spot(float(middle[0]), float(middle[1]), tall + CLEAR / scale, math.hypot(tall, wide) * scale)


def draw_ring(axes: Axes, mark: Mark, spot: Spot) -> None:
    """Draws a ring around the spot of a mark without a number."""
    ring: Any = {"markersize": max(RING, spot.diagonal + CLEAR) if spot.diagonal else RING, "markerfacecolor": "none"}
    for colour, line in RING_EDGES:
        axes.plot(
            spot.x, spot.y, "o", markeredgecolor=colour or mark.colour, markeredgewidth=line, clip_on=False, **ring
        )


def draw_drop(axes: Axes, mark: Mark, spot: Spot, *, below: bool) -> None:
    """Draws a mark's number in a drop whose tip touches its spot from above or, near the top edge, from below."""
    side = -1 if below else 1
    tip = (spot.x, spot.y - side * spot.tall / 2)
    drop: Any = {"marker": drop_path(side), "markersize": DROP_SIZE, "clip_on": False}
    for edge, line in (("#444444", 1.3), ("white", 0.7)):
        axes.plot(*tip, markerfacecolor=mark.colour, markeredgecolor=edge, markeredgewidth=line, **drop)
    place: Any = {"xytext": (0, side * DROP_SIZE * DROP_MIDDLE), "textcoords": "offset points"}
    colour = np.round(np.array(to_rgb(mark.colour)) * 255).astype(np.uint8)
    words: Any = {"fontsize": SMALL, "color": str(text_colour(colour)), "weight": "bold"}
    axes.annotate(str(mark.number), tip, ha="center", va="center_baseline", **place, **words)


def drop_path(side: int) -> Path:
    """A circle of radius 1 with a tip at (0, 0): below the circle if `side` is 1, above it if `side` is -1."""
    circle = Path.arc(-45, 225)
    vertices = np.vstack([np.asarray(circle.vertices) + np.array((0, math.sqrt(2))), np.zeros((2, 2))])
    return Path(vertices * np.array((1, side)), [*np.asarray(circle.codes), Path.LINETO, Path.CLOSEPOLY])


def draw_box(axes: Axes, box: Box) -> None:
    """Draws a box without its label."""
    corner, size = (box.left - 0.5, box.top - 0.5), (box.right - box.left, box.bottom - box.top)
    for colour, line in (("white", 2.0), (box.colour, 1.1)):
        style: Any = {"linestyle": "--" if box.dashed and colour == box.colour else "-"}
        axes.add_patch(Rectangle(corner, *size, facecolor="none", edgecolor=colour, linewidth=line, **style))


def letter_boxes(axes: Axes, subplot: Subplot, points: float) -> None:
    """Writes the labels of boxes on a picture that is `points` wide where they cover neither each other nor a mark."""
    boxes = [box for box in subplot.boxes if box.label]
    if not boxes:
        return
    height, width = subplot.image.shape[:2]
    scale = points / width
    ends = np.array([(box.left, height - box.bottom, box.right, height - box.top) for box in boxes]) * scale
    middles = (ends[:, :2] + ends[:, 2:]) / 2
    sizes = np.array([(LEAST * LETTER_SHARE * len(box.label), LEAST * LETTER_SHARE) for box in boxes])
    radius = float((ends[:, 2:] - ends[:, :2]).max() / 2)
    marks = np.array([frame_of_mark(mark, subplot, points) for mark in subplot.marks]).reshape(-1, 4)
    centres = place_labels(middles, sizes, (points, height * scale), radius, marks)
    look: Any = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    words: Any = {"fontsize": LEAST, "weight": "bold", "ha": "center", "va": "center", "bbox": look}
    line: Any = {"arrowstyle": "-", "linewidth": 0.5, "color": "white", "shrinkA": 0, "shrinkB": 0}
    for box, middle, size, centre in zip(boxes, middles, sizes, centres, strict=True):
        at = ((box.left + box.right) / 2 - 0.5, (box.top + box.bottom) / 2 - 0.5)
        apart = np.hypot(*np.maximum(np.abs(centre - middle) - radius - size / 2, 0))
        place: Any = {"xytext": centre - middle, "textcoords": "offset points"}
        axes.annotate(box.label, at, arrowprops=line if apart > LINE_FROM else None, color=box.colour, **place, **words)


def frame_of_mark(mark: Mark, subplot: Subplot, points: float) -> tuple[float, float, float, float]:
    """The left, bottom, right and top of a mark, in points from the lower left corner of its picture."""
    (height, width), spot = subplot.image.shape[:2], find_spot(subplot, mark, points)
    scale = points / width
    x, y = (spot.x + 0.5) * scale, (height - spot.y - 0.5) * scale
    if not mark.number:
        reach = (max(RING, spot.diagonal + CLEAR) if spot.diagonal else RING) / 2
        return x - reach, y - reach, x + reach, y + reach
    side = -1 if is_low(mark, subplot) else 1
    tip = y + side * spot.tall * scale / 2
    ends = sorted((tip, tip + side * DROP_SIZE))
    return x - DROP_SIZE / 2, ends[0], x + DROP_SIZE / 2, ends[1]


def is_low(mark: Mark, subplot: Subplot) -> bool:
    """Whether a mark's drop hangs below its pixel, as there is no room above."""
    return mark.y < len(subplot.image) / 5
