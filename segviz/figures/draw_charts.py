"""Draws the charts of subplots with matplotlib: channel matrices, sorted values, and weights of strips."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from segviz.figures.colour import colour_values
from segviz.figures.content import Bars, Matrix, Scatter, Strips
from segviz.figures.fonts import choose_families
from segviz.figures.page import INK, LEAST, MUTED, SMALL, text_width
from segviz.figures.place_labels import place_labels
from segviz.figures.strongest import pool_strongest, step_to_fit
from segviz.text import plain_text

BAR_COLOUR = "#0072B2"
GROUP_LETTERS = 64
DOT = 1.5  # points: the radius of a dot
POINTS = 72  # per inch
LED = DOT + 3.0  # points between a dot's centre and its name from which on a line leads to it
LINE_SHARE = 1.2  # the height of letters with their ascenders and descenders, of the font's size


def draw_matrix(axes: Axes, matrix: Matrix, pixels: int) -> None:
    """Draws an affinity between channels on so many pixels a side; where channels share one, the largest shows."""
    cells = len(matrix.values)
    step = step_to_fit((cells, cells), (pixels, pixels))
    drawn, end = pool_strongest(matrix.values, step), step * math.ceil(cells / step) - 0.5
    picture = colour_values(drawn.values, matrix.scale, matrix.colours)
    axes.imshow(picture, aspect="auto", extent=(-0.5, end, end, -0.5))
    axes.set(xlim=(-0.5, cells - 0.5), ylim=(cells - 0.5, -0.5))
    name_axes(axes, "from channel i", "channel j", len(matrix.values) - 1)
    axes.set_yticks([0, len(matrix.values) - 1])


def draw_bars(axes: Axes, bars: Bars) -> None:
    """Draws the values sorted, as steps."""
    ordered = np.sort(bars.values)
    axes.fill_between(np.arange(len(ordered) + 1), np.append(ordered, ordered[-1:]), step="post", color=BAR_COLOUR)
    axes.axhline(bars.middle, color=MUTED, linestyle="--", linewidth=0.6)
    axes.set(xlim=(0, len(ordered)), ylim=(0, 1))
    name_axes(axes, "channels, sorted", bars.unit, len(ordered))
    axes.set_yticks([0, 1])


def draw_strips(axes: Axes, strips: Strips) -> None:
    """Draws one group of bars per strip, one bar per place, and the even share as a dashed line."""
    places, count = strips.weights.shape
    for number, (row, name, colour) in enumerate(zip(strips.weights, strips.names, strips.colours, strict=True)):
        axes.bar(np.arange(count) + (number + 0.5) / places, row, 1 / places, color=colour, label=name)
    axes.axhline(1 / count, color=MUTED, linestyle="--", linewidth=0.6)
    most = float(strips.weights.max())
    axes.set(xlim=(0, count), ylim=(0, 1.15 * most))
    name_axes(axes, "strip", strips.unit, count)
    axes.set_yticks([0])
    words: Any = {"size": SMALL, "color": MUTED, "transform": axes.transAxes}
    axes.text(0.01, 0.98, f"max {most:.3g}; even share {1 / count:.3g}", va="top", **words)
    axes.legend(fontsize=SMALL, frameon=False, handlelength=0.8, loc="upper right")


def group_text(group: str) -> str:
    """A group's name in a legend, broken into lines that fit a single column."""
    return textwrap.fill(group, GROUP_LETTERS)


def draw_scatter(axes: Axes, scatter: Scatter) -> None:
    """Draws the dots with their names beside them, and the groups as a legend."""
    for group, colour in scatter.colours.items():
        own = [dot for dot in scatter.dots if dot.group == group]
        if own:
            axes.scatter(
                [dot.x for dot in own],
                [dot.y for dot in own],
                s=(2 * DOT) ** 2,
                color=colour,
                label=group_text(group),
                linewidths=0,
            )
    axes.margins(0.05)
    name_dots(axes, scatter)
    axes.set_axis_on()
    axes.set_xlabel(scatter.across, size=SMALL, labelpad=1)
    axes.set_ylabel(scatter.up, size=SMALL, labelpad=1)
    axes.tick_params(labelsize=SMALL, length=2, pad=1, width=0.5)
    axes.grid(linewidth=0.3, alpha=0.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
    above: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.1, "labelspacing": 0.2}
    axes.legend(fontsize=SMALL, frameon=False, handlelength=1, handletextpad=0.1, borderpad=0, **above)


def name_dots(axes: Axes, scatter: Scatter) -> None:
    """Writes each dot's name where it covers nothing; a thin line leads to one that stands further away."""
    axes.autoscale_view()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # what was measured stays
    scale = POINTS / axes.figure.dpi
    corner, room = np.array(axes.bbox.min) * scale, (float(axes.bbox.width * scale), float(axes.bbox.height * scale))
    dots = axes.transData.transform(scatter.values) * scale - corner
    names = [plain_text(dot.name) for dot in scatter.dots]
    sizes = np.array([(text_width(name, LEAST) * POINTS, LEAST * LINE_SHARE) for name in names])
    line: Any = {"arrowstyle": "-", "linewidth": 0.3, "color": MUTED, "shrinkA": 0, "shrinkB": DOT}
    words: Any = {"fontsize": LEAST, "color": INK, "parse_math": False, "ha": "center", "va": "center"}
    for name, at, size, dot, centre in zip(
        names, scatter.values, sizes, dots, place_labels(dots, sizes, room, DOT), strict=True
    ):
        apart = np.hypot(*np.maximum(np.abs(centre - dot) - size / 2, 0))
        look: Any = {"xytext": centre - dot, "textcoords": "offset points", "family": choose_families(name)}
        axes.annotate(name, at, arrowprops=line if apart > LED else None, **look, **words)


def name_axes(axes: Axes, across: str, up: str, last: int) -> None:
    """Shows both axes with their names, and ticks at the ends of the horizontal one."""
    axes.set_axis_on()
    axes.set_xlabel(across, size=SMALL, labelpad=-3)
    axes.set_ylabel(up, size=SMALL, labelpad=-5)
    axes.set_xticks([0, last])
    first, final = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    final.set_horizontalalignment("right")
    axes.tick_params(labelsize=SMALL, length=2, pad=1, width=0.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
