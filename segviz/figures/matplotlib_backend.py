"""Figure specs drawn for print with matplotlib's objects, without its global state: every length in inches, all text text.

Pictures and the maps over them become one image a subplot; marks, points, outlines and words stay vectors.
"""

from __future__ import annotations

import io
import json
import pathlib
import textwrap
from dataclasses import dataclass
from os import PathLike
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from segviz.figures.colour_bars import (
    BAR_HEIGHT,
    MARGIN,
    NARROW,
    TALLER,
    Bar,
    draw_bar,
    draw_legend,
    legend_lines,
    row_bars,
)
from segviz.figures.draw_subplot import aspect_ratio, draw_subplot
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.layout import LINE_HEIGHT, MUTED, SMALL, Page, letter_names, quiet_matplotlib, title_lines
from segviz.text import plain_text

SINGLE, DOUBLE = 3.3, 6.9  # inches: one column, and both, of a conference's page
PAGE = 9.0  # a figure is at most so high, where its subplots can be made smaller
SMALLEST_SUBPLOT = 0.5
DOTS_PER_INCH = 300
GAP, UNDER_TITLE = 0.06, 0.04
CAPTION = 2000  # characters at most
VECTORS = ("svg", "pdf")


class Drawing(Figure):
    """A matplotlib figure that knows its figure spec: what it saves carries the figure's title, models, pixels and scales.

    Text stays text in SVG and PDF, and the same drawing gives the same bytes.
    """

    spec: FigureSpec

    def savefig(self, fname: Any, *, transparent: bool | None = None, **more: Any) -> None:
        """Matplotlib's `savefig`, with the figure's details as the file's metadata."""
        named = pathlib.Path(fname).suffix if isinstance(fname, str | PathLike) else ""
        form = str(more.get("format") or named.lstrip(".") or "png").lower()
        for image in self.findobj(AxesImage):
            image.set_interpolation("none" if form in VECTORS else "auto")
        settings: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "segviz"}
        with quiet_matplotlib(), matplotlib.rc_context(settings):
            super().savefig(
                fname, transparent=transparent, **{"dpi": DOTS_PER_INCH, "metadata": metadata(self.spec, form), **more}
            )

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
    """The spec drawn as a figure.

    Args:
        spec: what to draw.
        width: in inches; by default one column's for a single subplot, both columns' for more.
        letters: whether titles begin with a, b, c and so on.
        caption: whether title, models, pixels and scales stand below.
        dots: per inch, of the pictures at most.
    """
    columns = max(map(len, spec.rows))
    width = width or (SINGLE if columns == 1 else DOUBLE)
    bars, words = row_bars(spec), caption_lines(spec, width) if caption else []
    with quiet_matplotlib():
        legend = legend_lines(spec, width)
        below = LINE_HEIGHT * (len(legend) + len(words)) + 2 * MARGIN
        grid = measure_grid(spec, bars, width, columns, below)
        figure = Drawing((width, grid.height + below))
        figure.spec = spec
        page = Page(figure, width, grid.height + below)
        draw_rows(page, spec, bars, grid, letters, dots)
        top = below - MARGIN
        for line in legend:
            top -= LINE_HEIGHT
            draw_legend(page, line, top)
        for text in words:
            top -= LINE_HEIGHT
            page.text(text, MARGIN, top + 0.02, SMALL, MUTED)
    return figure


@dataclass(frozen=True)
class PageGrid:
    """Measures of a page's subplots, in inches: each row's head, subplots and foot, all subplots' width, their left edge."""

    heads: list[float]
    shapes: list[float]
    feet: list[float]
    across: float
    left: float

    @property
    def height(self) -> float:
        """Of all rows."""
        return fixed_height(self.heads, self.feet) + self.across * sum(self.shapes)


def measure_grid(spec: FigureSpec, bars: list[list[Bar]], width: float, columns: int, below: float) -> PageGrid:
    """The subplots as wide as they can be without the figure getting higher than a page."""
    shapes = [max((aspect_ratio(subplot) for subplot in row if subplot), default=0.0) for row in spec.rows]
    across = (width - 2 * MARGIN - GAP * (columns - 1)) / columns
    for _ in range(2):  # narrower subplots need more room for words
        lines = [
            max((title_lines(subplot.title, across) for subplot in row if subplot), default=0) for row in spec.rows
        ]
        heads = [LINE_HEIGHT * count + UNDER_TITLE * bool(count) for count in lines]
        feet = [bool(row) * (BAR_HEIGHT + (across < NARROW) * TALLER) for row in bars]
        most = (PAGE - below - fixed_height(heads, feet)) / max(sum(shapes), 1e-9)
        across = min(across, max(most, SMALLEST_SUBPLOT))
    return PageGrid(heads, shapes, feet, across, (width - across * columns - GAP * (columns - 1)) / 2)


def fixed_height(heads: list[float], feet: list[float]) -> float:
    """What rows need beside their subplots."""
    return sum(heads) + sum(feet) + GAP * (len(heads) - 1) + MARGIN


def draw_rows(page: Page, spec: FigureSpec, bars: list[list[Bar]], grid: PageGrid, letters: bool, dots: int) -> None:
    """The subplots with their titles and colour bars, from the top down."""
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
            draw_bar(page, bar.contents, start, end + grid.across, top - grid.across * tall - 0.04)
        top -= grid.across * tall + foot + GAP


def caption_lines(spec: FigureSpec, width: float) -> list[str]:
    """The caption, broken into lines."""
    return textwrap.wrap(plain_text(spec.caption(), CAPTION), max(20, int((width - 2 * MARGIN) * 72 / (SMALL * 0.56))))


def metadata(spec: FigureSpec, form: str) -> dict[str, Any]:
    """What a file of a form says of the figure, in the fields that the form has; no date, so that bytes repeat."""
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
