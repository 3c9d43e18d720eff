"""Draws the charts of subplots with matplotlib: channel matrices, sorted values, and weights of strips."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from segviz.figures.colour import colour_values
from segviz.figures.content import Bars, Matrix, Scatter, Strips
from segviz.figures.layout import INK, LEAST, MUTED, SMALL

BAR_COLOUR = "#0072B2"
GROUP_LETTERS = 64
IN_THE_WAY = (0.12, 0.02)  # shares of the axes within which a dot on the right is in the way of a name


def draw_matrix(axes: Axes, matrix: Matrix) -> None:
    """Draws an affinity between channels."""
    axes.imshow(colour_values(matrix.values, matrix.scale, matrix.colours), aspect="auto")
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
    """Draws the dots with their names beside them, on the side that has more room, and the groups as a legend."""
    x = scatter.values[:, 0]
    for group, colour in scatter.colours.items():
        own = [dot for dot in scatter.dots if dot.group == group]
        if own:
            axes.scatter(
                [dot.x for dot in own], [dot.y for dot in own], s=9, color=colour, label=group_text(group), linewidths=0
            )
    wide, high = np.ptp(scatter.values, 0)
    for dot in scatter.dots:
        near = [other for other in scatter.dots if abs(other.y - dot.y) < IN_THE_WAY[1] * high and other.x > dot.x]
        free = all(other.x - dot.x > IN_THE_WAY[0] * wide for other in near)
        right = dot.x <= x.min() + wide * (0.5 if free else IN_THE_WAY[0])
        look: Any = {"xytext": (2.5 if right else -2.5, 0), "textcoords": "offset points", "va": "center_baseline"}
        words: Any = {"fontsize": LEAST, "color": INK, "parse_math": False}
        axes.annotate(dot.name, (dot.x, dot.y), ha="left" if right else "right", **look, **words)
    axes.set_axis_on()
    axes.set_xlabel(scatter.across, size=SMALL, labelpad=1)
    axes.set_ylabel(scatter.up, size=SMALL, labelpad=1)
    axes.margins(0.05)
    axes.tick_params(labelsize=SMALL, length=2, pad=1, width=0.5)
    axes.grid(linewidth=0.3, alpha=0.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
    above: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.1, "labelspacing": 0.2}
    axes.legend(fontsize=SMALL, frameon=False, handlelength=1, handletextpad=0.1, borderpad=0, **above)


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
