"""Draws figure specs for print with matplotlib's objects, without pyplot's global state; lengths are in inches.

Each picture and the map over it become one image; marks, points, outlines and text stay vectors.
"""

from __future__ import annotations

import io
import json
import pathlib
import textwrap
from dataclasses import dataclass
from os import PathLike
from typing import Any

from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from segviz.figures.class_legend import draw_legend, legend_lines
from segviz.figures.colour_bars import (
    BAR_HEIGHT,
    TALLER,
    ColourBar,
    draw_bar,
    row_bars,
)
from segviz.figures.draw_subplot import aspect_ratio, draw_subplot
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.page import LINE_HEIGHT, MARGIN, MUTED, SMALL, Page, isolate_matplotlib, letter_names, title_lines
from segviz.text import plain_text

SINGLE, DOUBLE = 3.3, 6.9  # inches: the width of one column and of both on a conference page
PAGE = 9.0  # inches: the greatest height of a figure, unless its subplots would be narrower than SMALLEST_SUBPLOT
SMALLEST_SUBPLOT = 0.5
DOTS_PER_INCH = 300
GAP, UNDER_TITLE = 0.06, 0.04
CAPTION = 2000  # the greatest length of a caption, in characters
VECTORS = ("svg", "pdf")


class Drawing(Figure):
    """A matplotlib figure that writes title, models, pixels and scales of its spec into the files that it saves.

    The user's matplotlib settings do not reach it, so the same drawing always gives the same bytes.
    """

    spec: FigureSpec

    def savefig(self, fname: Any, *, transparent: bool | None = None, **more: Any) -> None:
        """Matplotlib's `savefig`, which also writes the figure's metadata into the file."""
        named = pathlib.Path(fname).suffix if isinstance(fname, str | PathLike) else ""
        form = str(more.get("format") or named.lstrip(".") or "png").lower()
        for image in self.findobj(AxesImage):
            image.set_interpolation("none" if form in VECTORS else "auto")
        with isolate_matplotlib():
            super().savefig(
                fname, transparent=transparent, **{"dpi": DOTS_PER_INCH, "metadata": metadata(self.spec, form), **more}
            )

    def draw(self, renderer: Any) -> None:
        """Matplotlib's `draw`, also for hosts that call it without `savefig`."""
        with isolate_matplotlib():
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=150)
        return buffer.getvalue()


def draw(
    spec: FigureSpec,
    width: float | None = None,
    *,
    letters: bool = False,
    caption: bool = True,
    dots: int = DOTS_PER_INCH,
) -> Drawing:
    """Draws a figure spec.

    Args:
        spec: the figure to draw.
        width: width in inches; by default 3.3 for a single column of subplots, 6.9 for more.
        letters: whether titles begin with a, b, c and so on.
        caption: whether title, models, pixels and scales are written below.
        dots: the highest resolution of pictures, in dots per inch.
    """
    columns = max(map(len, spec.rows))
    width = width or (SINGLE if columns == 1 else DOUBLE)
    bars, words = row_bars(spec), caption_lines(spec, width) if caption else []
    with isolate_matplotlib():
        legend = legend_lines(spec, width)
        below = LINE_HEIGHT * (len(legend) + len(words)) + 2 * MARGIN
        grid = measure_grid(spec, bars, width, columns, below)
        figure = Drawing((width, grid.height + below))
        figure.spec = spec
        page = Page(figure, width, grid.height + below)
        draw_rows(page, spec, bars, grid, letters, dots)
        top = below - MARGIN
        draw_legend(page, legend, top, grid.left)
        top -= LINE_HEIGHT * len(legend)
        for text in words:
            top -= LINE_HEIGHT
            page.text(text, MARGIN, top + 0.02, SMALL, MUTED)
    return figure


@dataclass(frozen=True)
class PageGrid:
    """The grid of a page, in inches.

    Attributes:
        heads: height of the titles above each row.
        shapes: height over width of the subplots of each row.
        feet: height of the colour bars below each row.
        across: width of every subplot.
        left: left edge of the first column.
    """

    heads: list[float]
    shapes: list[float]
    feet: list[float]
    across: float
    left: float

    @property
    def height(self) -> float:
        """The height of all rows."""
        return fixed_height(self.heads, self.feet) + self.across * sum(self.shapes)


def measure_grid(spec: FigureSpec, bars: list[list[ColourBar]], width: float, columns: int, below: float) -> PageGrid:
    """The grid with the widest subplots that keep the figure within a page's height."""
    shapes = [max((aspect_ratio(subplot) for subplot in row if subplot), default=0.0) for row in spec.rows]
    across = (width - 2 * MARGIN - GAP * (columns - 1)) / columns
    for _ in range(2):  # narrower subplots need more lines for their titles
        lines = [
            max((title_lines(subplot.title, across) for subplot in row if subplot), default=0) for row in spec.rows
        ]
        heads = [LINE_HEIGHT * count + UNDER_TITLE * bool(count) for count in lines]
        feet = [max((bar_height(bar, across) for bar in row), default=0.0) for row in bars]
        most = (PAGE - below - fixed_height(heads, feet)) / max(sum(shapes), 1e-9)
        across = min(across, max(most, SMALLEST_SUBPLOT))
    return PageGrid(heads, shapes, feet, across, (width - across * columns - GAP * (columns - 1)) / 2)


def bar_height(bar: ColourBar, across: float) -> float:
    """The height that a colour bar needs below subplots of a width."""
    span = bar.last - bar.first
    return BAR_HEIGHT + bar.has_texts_below(across + span * (across + GAP)) * TALLER


def fixed_height(heads: list[float], feet: list[float]) -> float:
    """The height that rows need beyond their subplots."""
    return sum(heads) + sum(feet) + GAP * (len(heads) - 1) + MARGIN


def draw_rows(
    page: Page, spec: FigureSpec, bars: list[list[ColourBar]], grid: PageGrid, letters: bool, dots: int
) -> None:
    """Draws the subplots with their titles and colour bars, from the top down."""
    names = iter(letter_names() if letters else ())
    top = page.height - MARGIN
    for row, own, head, tall, foot in zip(spec.rows, bars, grid.heads, grid.shapes, grid.feet, strict=True):
        top -= head
        for column, subplot in enumerate(row):
            if subplot is None:
                continue
            left = grid.left + column * (grid.across + GAP)
            if subplot.title:
                page.title(subplot.title, next(names, ""), left, top + UNDER_TITLE, grid.across)
            draw_subplot(page, subplot, left, top, grid.across, spec.opacity, dots)
        for bar in own:
            start, end = (grid.left + column * (grid.across + GAP) for column in (bar.first, bar.last))
            draw_bar(page, bar, start, end + grid.across, top - grid.across * tall - 0.04)
        top -= grid.across * tall + foot + GAP


def caption_lines(spec: FigureSpec, width: float) -> list[str]:
    """The caption, broken into lines."""
    return textwrap.wrap(plain_text(spec.caption(), CAPTION), max(20, int((width - 2 * MARGIN) * 72 / (SMALL * 0.56))))


def metadata(spec: FigureSpec, form: str) -> dict[str, Any]:
    """The figure's metadata in the fields of a file format; without a date, so equal figures give equal bytes."""
    title, caption = plain_text(spec.title), plain_text(spec.caption(), CAPTION)
    details = json.dumps(spec.details())
    match form:
        case "png":
            return {"Title": title, "Description": caption, "Software": "segviz", "segviz": details}
        case "svg":
            return {"Title": title, "Description": caption, "Keywords": [details], "Creator": "segviz", "Date": None}
        case "pdf":
            return {"Title": title, "Subject": caption, "Keywords": details, "Creator": "segviz", "CreationDate": None}
        case _:
            return {}
