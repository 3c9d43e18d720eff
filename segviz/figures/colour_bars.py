"""Colour bars of printed figures; neighbours on the same scale share a bar."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from matplotlib.patches import Rectangle

from segviz.figures.colour import colour_table
from segviz.figures.content import Matrix, Scaled, in_percent, values_of
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.page import INK, MUTED, SMALL, Page, fit_text, text_width
from segviz.figures.scale_text import format_ends
from segviz.figures.subplot import Subplot

BAR, BAR_HEIGHT, BAR_LENGTH = 0.05, 0.23, 1.8
SHORTEST, TALLER = 0.4, 0.1  # inches; where a bar between its end values would be shorter, they are written below it


@dataclass(frozen=True)
class ColourBar:
    """A colour bar shared by the subplots in columns `first` to `last` of this row, and of the rows merged into it."""

    first: int
    last: int
    contents: tuple[Scaled, ...]

    @cached_property
    def ends(self) -> tuple[str, str]:
        """The texts at its ends."""
        return end_texts(self.contents)

    @cached_property
    def text_room(self) -> tuple[float, float]:
        """The room in inches that these texts need."""
        low, high = (text_width(words, SMALL) + 0.03 for words in self.ends)
        return low, high

    def has_texts_below(self, room: float) -> bool:
        """Whether they stand below the bar, which would be too short between them in a room of so many inches."""
        return room - 2 * max(self.text_room) < SHORTEST


def row_bars(spec: FigureSpec) -> list[list[ColourBar]]:
    """The colour bars below each row: one for neighbours on the same scale, none if the next row repeats it."""
    rows = [bars_of(row) for row in spec.rows]
    for own, below in itertools.pairwise(rows):
        if [(bar.first, bar.last, bar_key(bar.contents[0])) for bar in own] == [
            (bar.first, bar.last, bar_key(bar.contents[0])) for bar in below
        ]:
            below[:] = [
                replace(bar, contents=above.contents + bar.contents) for above, bar in zip(own, below, strict=True)
            ]
            own.clear()
    return rows


def bars_of(row: Sequence[Subplot | None]) -> list[ColourBar]:
    """The colour bars of one row."""
    bars: list[ColourBar] = []
    for column, subplot in enumerate(row):
        if subplot is None or not isinstance(subplot.content, Scaled):
            continue
        before = bars[-1] if bars and bars[-1].last == column - 1 else None
        if before and bar_key(before.contents[0]) == bar_key(subplot.content):
            bars[-1] = ColourBar(before.first, column, (*before.contents, subplot.content))
        else:
            bars.append(ColourBar(column, column, (subplot.content,)))
    return bars


def bar_key(content: Scaled) -> tuple[object, ...]:
    """The key that is equal for subplots that can share a colour bar."""
    return content.scale, content.unit, content.colours, getattr(content, "even", None), in_percent(content)


def end_texts(contents: Sequence[Scaled]) -> tuple[str, str]:
    """The texts at the ends of the bar; "≤" and "≥" say that values lie beyond it. A flat scale has one text."""
    scale = contents[0].scale
    known = [values[np.isfinite(values)] for values in map(values_of, contents)]
    below, above = (any(bool(beyond.any()) for beyond in side) for side in (
        [one < scale.low for one in known], [one > scale.high for one in known]
    ))  # fmt: skip
    low, high = format_ends(scale.low, scale.high, in_percent(contents[0]))
    if low == high:
        return low, ""
    return f"{'≤ ' * below}{low}", f"{'≥ ' * above}{high}"


def draw_bar(page: Page, bar: ColourBar, start: float, end: float, top: float) -> None:
    """Draws a colour bar between `start` and `end`, with its end values beside or below it, and its unit below."""
    content, scale = bar.contents[0], bar.contents[0].scale
    (low, high), wide, under = bar.ends, bar.text_room, bar.has_texts_below(end - start)
    length = min(end - start - (0 if under else 2 * max(wide)), BAR_LENGTH)
    size = min(SMALL, SMALL * length / sum(wide)) if under else SMALL
    left = (start + end - length) / 2
    axes = page.axes(left, top - BAR, length, BAR)
    table = colour_table(content.colours)
    axes.imshow(table[None] if scale.high > scale.low else table[None, :1], aspect="auto", extent=(0, 1, 0, 1))
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=INK, linewidth=0.4, clip_on=False))
    even = None if isinstance(content, Matrix) else content.even
    if even is not None and scale.low <= even <= scale.high and scale.high > scale.low:
        share = float(scale.share(np.array([even]))[0])
        axes.plot([share, share], [-0.35, 1.35], color=INK, linewidth=0.8, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    beside = -0.03 if not under else 0.0
    line = top - BAR / 2 - 0.03 if not under else top - BAR - 0.1
    page.text(low, left + beside, line, size, horizontalalignment="left" if under else "right")
    page.text(high, left + length - beside, line, size, horizontalalignment="right" if under else "left")
    unit, least = fit_text(unit_text(content), end - start, SMALL)
    below = top - BAR - (0.2 if under else 0.1)
    page.text(unit, (start + end) / 2, below, least, MUTED, horizontalalignment="center")


def unit_text(content: Scaled) -> str:
    """The unit, and the kind of scale unless it is linear."""
    kinds = {"linear": "", "log": ", log scale", "percentile": ", 1st to 99th percentile"}
    return content.unit + kinds[content.scale.kind]
