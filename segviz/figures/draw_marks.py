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
from segviz.figures.subplot import Box, Mark, Subplot

RING = 4.5  # points: the diameter of a ring
RING_EDGES = (("white", 2.0), (None, 1.1))  # colour, or the mark's own, and width in points
CLEAR = 4.0  # points: by this a ring is wider, and what a drop leaves free is higher, than the cell
DROP_SIZE = 20.0  # points; matplotlib scales a marker so that its farthest vertex lies at half its size
DROP_MIDDLE = 0.5 * math.sqrt(2) / (1 + math.sqrt(2))  # centre of the circle, as a share of DROP_SIZE
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
    height = subplot.image.shape[0]
    for mark in subplot.marks:
        spot = find_spot(subplot, mark, 72 * across)
        if mark.number:
            draw_drop(axes, mark, spot, below=mark.y < height / 5)
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
    """Draws a box, and its label above it, or below it near the top edge."""
    corner, size = (box.left - 0.5, box.top - 0.5), (box.right - box.left, box.bottom - box.top)
    for colour, line in (("white", 2.0), (box.colour, 1.1)):
        style: Any = {"linestyle": "--" if box.dashed and colour == box.colour else "-"}
        axes.add_patch(Rectangle(corner, *size, facecolor="none", edgecolor=colour, linewidth=line, **style))
    if not box.label:
        return
    above = box.top > axes.get_ylim()[0] / 10
    place: Any = {"xytext": (0, 1 if above else -1), "textcoords": "offset points", "va": "bottom" if above else "top"}
    look: Any = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    label_at = (box.left - 0.5, (box.top if above else box.bottom) - 0.5)
    axes.annotate(box.label, label_at, **place, fontsize=LEAST, color=box.colour, weight="bold", bbox=look)
