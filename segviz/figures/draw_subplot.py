"""Draws one subplot with matplotlib: the picture and the map over it as one image, marks and lines as vectors."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from segviz.attention.head_map import covered_size
from segviz.attention.region import Region
from segviz.figures.colour import COLOUR_STEPS, colour_table, colour_values
from segviz.figures.content import Bars, Classes, Heat, Matrix, Points, Scatter, Strips
from segviz.figures.draw_charts import draw_bars, draw_matrix, draw_scatter, draw_strips, group_text
from segviz.figures.draw_marks import draw_marks
from segviz.figures.overlay import blend, label_overlay, stretch
from segviz.figures.page import INK, Page
from segviz.figures.subplot import Subplot
from segviz.image import Rgb, fit_within

FLATTEST, TALLEST = 0.2, 3.0  # height over width
AXIS, ABOVE = 0.2, 0.06  # inches for the numbers beside a matrix or bars
AXIS_NAMES, GROUPS = 0.32, 0.14  # inches for the numbers and names of a scatter's axes, and for a line of its legend
PALE = 0.45
REST_DARKER = 0.45  # how much darker the picture is outside the crop that a network saw; viewer.css has the same
SHARES = ("confidence", "probability")  # units of which low values say as much as high ones
LINE_COLOUR = "#FFFFFF"


def aspect_ratio(subplot: Subplot) -> float:
    """Height over width of the subplot's cell; pictures beyond FLATTEST and TALLEST leave empty bands."""
    match subplot.content:
        case Matrix():
            return 1.0
        case Bars() | Strips():
            return 0.62
        case Scatter():
            return 0.75
        case _:
            return float(min(max(subplot.image.shape[0] / subplot.image.shape[1], FLATTEST), TALLEST))


def draw_subplot(
    page: Page, subplot: Subplot, left: float, top: float, across: float, opacity: float, dots: int
) -> None:
    """Draws one subplot with its upper left corner at (left, top), in inches."""
    tall = across * aspect_ratio(subplot)
    match subplot.content:
        case Matrix():
            axes = page.axes(left + AXIS, top - tall + AXIS, across - AXIS, tall - AXIS)
            draw_matrix(axes, subplot.content, math.floor((across - AXIS) * dots))
        case Bars() | Strips() as bars:
            axes = page.axes(left + AXIS, top - tall + AXIS, across - AXIS, tall - AXIS - ABOVE)
            draw_bars(axes, bars) if isinstance(bars, Bars) else draw_strips(axes, bars)
        case Scatter() as scatter:
            across, tall = across - AXIS_NAMES, tall - AXIS_NAMES
            lines = sum(len(group_text(group).splitlines()) for group in scatter.colours)
            axes = page.axes(left + AXIS_NAMES, top - tall, across, tall - GROUPS * lines)
            draw_scatter(axes, scatter)
        case _:
            real = subplot.image.shape[0] / subplot.image.shape[1]
            wide, high = min(across, tall / real), min(tall, across * real)
            axes = page.axes(left + (across - wide) / 2, top - (tall + high) / 2, wide, high)
            draw_picture(axes, subplot, opacity, wide, dots)


def draw_picture(axes: Axes, subplot: Subplot, opacity: float, across: float, dots: int) -> None:
    """Draws the picture and all that lies over it, `across` inches wide; axes count the picture's pixels."""
    height, width = subplot.image.shape[:2]
    longest = math.ceil(across * max(1.0, height / width) * dots)
    axes.imshow(
        compose_picture(subplot, opacity, longest), extent=(-0.5, width - 0.5, height - 0.5, -0.5), aspect="auto"
    )
    if isinstance(subplot.content, Classes) and subplot.content.outlined:
        draw_outlines(axes, subplot.content, longest)
    if isinstance(subplot.content, Points):
        draw_points(axes, subplot.content, (height, width))
    draw_marks(axes, subplot, across)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def compose_picture(subplot: Subplot, opacity: float, longest: int) -> Rgb:
    """The picture blended with the map over it, at most `longest` pixels a side."""
    image = fit_within(subplot.image, longest)
    size = (image.shape[0], image.shape[1])
    match subplot.content:
        case Heat() as heat:
            if heat.region is not None:
                return compose_crop(image, heat, heat.region, subplot.image.shape[0], opacity)
            stretched = stretch_heat(heat, size)
            stretched = stretched[: size[0], : size[1]]
            return blend(image, colour_values(stretched, heat.scale, heat.colours), opacity)
        case Classes() as classes:
            return label_overlay(
                image, small_labels(classes.labels, size), classes.class_set, opacity, classes.visible_classes
            )
        case Points():  # pale, so the dots stand out
            return blend(image, np.full_like(image, 255), PALE)
        case _:
            return image


def stretch_heat(heat: Heat, size: tuple[int, int]) -> Float32[np.ndarray, "height width"]:
    """A map stretched to the pixels that its grid covers; where cells share one, the strongest shows."""
    strongest = heat.unit not in SHARES
    return stretch(heat.values, covered_size(size, heat.covers), heat.features, heat.smooth, strongest)


def compose_crop(image: Rgb, heat: Heat, region: Region, height: int, opacity: float) -> Rgb:
    """A picture that was `height` pixels high, blended with a map over a crop of it; the rest is darker."""
    ratio = image.shape[0] / height
    top, left, bottom, right = (
        round(at * ratio) for at in (region.top, region.left, region.top + region.height, region.left + region.width)
    )
    size = max(1, bottom - top), max(1, right - left)
    colours = colour_values(stretch_heat(heat, size), heat.scale, heat.colours)
    composed = np.round(image * (1 - REST_DARKER)).astype(np.uint8)
    inside = slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right))
    seen = image[inside]
    over = colours[max(0, -top) :, max(0, -left) :][: seen.shape[0], : seen.shape[1]]
    composed[inside] = blend(seen, over, opacity)
    return composed


def small_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels resized to (height, width) by nearest neighbour."""
    return labels if labels.shape == size else cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def draw_outlines(axes: Axes, classes: Classes, longest: int) -> None:
    """Draws lines between classes, along the pixel borders of the labels as drawn."""
    height, width = classes.labels.shape
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    ends = borders(small_labels(classes.regions, size)) * (width / size[1], height / size[0]) - 0.5
    codes = np.tile(np.array([Path.MOVETO, Path.LINETO], Path.code_type), len(ends) // 2)
    line: Any = {"edgecolor": LINE_COLOUR, "linewidth": 0.4, "capstyle": "projecting"}
    axes.add_patch(PathPatch(Path(ends, codes), facecolor="none", **line))


def borders(labels: np.ndarray) -> np.ndarray:
    """The ends (x, y) of every straight border between labels, in pixel corners: rows 2i and 2i + 1 are one line."""
    pieces = []
    for across in (False, True):
        grid = labels.T if across else labels
        edge = np.zeros((grid.shape[0] + 1, grid.shape[1] + 2), np.int8)
        edge[1:-1, 1:-1] = grid[1:] != grid[:-1]
        step = np.diff(edge, axis=1)
        rows, starts = np.nonzero(step == 1)
        stops = np.nonzero(step == -1)[1]
        ends = np.stack([starts, rows, stops, rows], 1).reshape(-1, 2)
        pieces.append(ends[:, ::-1] if across else ends)
    return np.concatenate(pieces)


def draw_points(axes: Axes, points: Points, size: tuple[int, int]) -> None:
    """Draws sampled positions, sized by weight, and their undisplaced window; crosses on the edge are outside."""
    bound = np.array(size) - 0.5
    outside = ((points.at < -0.5) | (points.at > bound)).any(1)
    shown = points.at.clip(-0.5, bound)
    share = points.scale.share(points.weights)
    colours = colour_table(points.colours)[np.round(share * (COLOUR_STEPS - 1)).astype(int)] / 255
    area = 3 + 14 * points.weights / max(float(points.weights.max(initial=0)), 1e-12)
    plain_at = points.undisplaced
    inside: Any = {"edgecolors": "white", "linewidths": 0.25}
    axes.scatter(shown[~outside, 1], shown[~outside, 0], c=colours[~outside], s=area[~outside], **inside)
    axes.scatter(
        shown[outside, 1], shown[outside, 0], c=colours[outside], s=9, marker="x", linewidths=0.7, clip_on=False
    )
    for colour, line in (("white", 0.8), (INK, 0.3)):  # above the dots, which may lie on it
        axes.scatter(plain_at[:, 1], plain_at[:, 0], s=4, c=colour, marker="+", linewidths=line)
