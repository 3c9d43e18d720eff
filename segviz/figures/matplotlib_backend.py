"""Sheets drawn for print with matplotlib's objects, without its global state: every length in inches, all text text.

Pictures and the maps over them become one image a panel; marks, points, outlines and words stay vectors.
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
from segviz.figures.draw_panel import draw_panel, shape
from segviz.figures.figure_spec import Sheet
from segviz.figures.layout import LINE_HEIGHT, MUTED, SMALL, Page, letter_names, quiet, title_lines
from segviz.text import plain

SINGLE, DOUBLE = 3.3, 6.9  # inches: one column, and both, of a conference's page
PAGE = 9.0  # a figure is at most so high, where its panels can be made smaller
SMALLEST_PANEL = 0.5
DOTS_PER_INCH = 300
GAP, UNDER_TITLE = 0.06, 0.04
CAPTION = 2000  # characters at most
VECTORS = ("svg", "pdf")


class Drawing(Figure):
    """A matplotlib figure that knows its sheet: what it saves carries the sheet's title, models, pixels and scales.

    Text stays text in SVG and PDF, and the same drawing gives the same bytes.
    """

    sheet: Sheet

    def savefig(self, fname: Any, *, transparent: bool | None = None, **more: Any) -> None:
        """Matplotlib's `savefig`, with the sheet's details as the file's metadata."""
        named = pathlib.Path(fname).suffix if isinstance(fname, str | PathLike) else ""
        form = str(more.get("format") or named.lstrip(".") or "png").lower()
        for image in self.findobj(AxesImage):
            image.set_interpolation("none" if form in VECTORS else "auto")
        settings: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "segviz"}
        with quiet(), matplotlib.rc_context(settings):
            super().savefig(
                fname, transparent=transparent, **{"dpi": DOTS_PER_INCH, "metadata": metadata(self.sheet, form), **more}
            )

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=150)
        return buffer.getvalue()


def draw(
    sheet: Sheet, width: float | None = None, *, letters: bool = False, caption: bool = True, dots: int = DOTS_PER_INCH
) -> Drawing:
    """The sheet as a figure.

    Args:
        sheet: what to draw.
        width: in inches; by default one column's for a single panel, both columns' for more.
        letters: whether titles begin with a, b, c and so on.
        caption: whether title, models, pixels and scales stand below.
        dots: per inch, of the pictures at most.
    """
    columns = max(map(len, sheet.rows))
    width = width or (SINGLE if columns == 1 else DOUBLE)
    bars, words = row_bars(sheet), caption_lines(sheet, width) if caption else []
    with quiet():
        legend = legend_lines(sheet, width)
        below = LINE_HEIGHT * (len(legend) + len(words)) + 2 * MARGIN
        grid = measured(sheet, bars, width, columns, below)
        figure = Drawing((width, grid.height + below))
        figure.sheet = sheet
        page = Page(figure, width, grid.height + below)
        draw_rows(page, sheet, bars, grid, letters, dots)
        top = below - MARGIN
        for line in legend:
            top -= LINE_HEIGHT
            draw_legend(page, line, top)
        for text in words:
            top -= LINE_HEIGHT
            page.text(text, MARGIN, top + 0.02, SMALL, MUTED)
    return figure


@dataclass(frozen=True)
class Grid:
    """Measures of a page's panels, in inches: each row's head, panels and foot, all panels' width, their left edge."""

    heads: list[float]
    shapes: list[float]
    feet: list[float]
    across: float
    left: float

    @property
    def height(self) -> float:
        """Of all rows."""
        return fixed_height(self.heads, self.feet) + self.across * sum(self.shapes)


def measured(sheet: Sheet, bars: list[list[Bar]], width: float, columns: int, below: float) -> Grid:
    """The panels as wide as they can be without the figure getting higher than a page."""
    shapes = [max((shape(panel) for panel in row if panel), default=0.0) for row in sheet.rows]
    across = (width - 2 * MARGIN - GAP * (columns - 1)) / columns
    for _ in range(2):  # narrower panels need more room for words
        lines = [max((title_lines(panel.title, across) for panel in row if panel), default=0) for row in sheet.rows]
        heads = [LINE_HEIGHT * count + UNDER_TITLE * bool(count) for count in lines]
        feet = [bool(row) * (BAR_HEIGHT + (across < NARROW) * TALLER) for row in bars]
        most = (PAGE - below - fixed_height(heads, feet)) / max(sum(shapes), 1e-9)
        across = min(across, max(most, SMALLEST_PANEL))
    return Grid(heads, shapes, feet, across, (width - across * columns - GAP * (columns - 1)) / 2)


def fixed_height(heads: list[float], feet: list[float]) -> float:
    """What rows need beside their panels."""
    return sum(heads) + sum(feet) + GAP * (len(heads) - 1) + MARGIN


def draw_rows(page: Page, sheet: Sheet, bars: list[list[Bar]], grid: Grid, letters: bool, dots: int) -> None:
    """The panels with their titles and colour bars, from the top down."""
    names = iter(letter_names() if letters else ())
    top = page.height - MARGIN
    for row, own, head, tall, foot in zip(sheet.rows, bars, grid.heads, grid.shapes, grid.feet, strict=True):
        top -= head
        for column, panel in enumerate(row):
            if panel is None:
                continue
            left = grid.left + column * (grid.across + GAP)
            if panel.title:
                page.title(panel.title, next(names, ""), left, top + UNDER_TITLE, grid.across)
            draw_panel(page, panel, left, top, grid.across, sheet.opacity, dots)
        for bar in own:
            start, end = (grid.left + column * (grid.across + GAP) for column in (bar.first, bar.last))
            draw_bar(page, bar.contents, start, end + grid.across, top - grid.across * tall - 0.04)
        top -= grid.across * tall + foot + GAP


def caption_lines(sheet: Sheet, width: float) -> list[str]:
    """The caption, broken into lines."""
    return textwrap.wrap(plain(sheet.caption(), CAPTION), max(20, int((width - 2 * MARGIN) * 72 / (SMALL * 0.56))))


def metadata(sheet: Sheet, form: str) -> dict[str, Any]:
    """What a file of a form says of the sheet, in the fields that the form has; no date, so that bytes repeat."""
    title, caption = plain(sheet.title), plain(sheet.caption(), CAPTION)
    details = json.dumps(sheet.details())
    match form:
        case "png":
            return {"Title": title, "Description": caption, "Software": "segviz", "segviz": details}
        case "svg":
            return {"Title": title, "Description": caption, "Keywords": [details], "Creator": "segviz", "Date": None}
        case "pdf":
            return {"Title": title, "Subject": caption, "Keywords": details, "Creator": "segviz", "CreationDate": None}
        case _:
            return {}
