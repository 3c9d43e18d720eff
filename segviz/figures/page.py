"""Positions on a printed page, in inches, and text on it: titles that fit, never parsed as mathematics."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from string import ascii_lowercase
from threading import RLock
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from segviz.figures.fonts import choose_families, report_missing
from segviz.text import plain_text

TITLE, SMALL, LEAST = 7.0, 6.0, 4.5  # points
HINTING = 1.03  # a text in pixels over its width at any size
READABLE = 5.5  # points; a title that would be smaller is broken into two lines
INK, MUTED = "#1a1a1a", "#555555"
MARGIN, LINE_HEIGHT, INDENT = 0.03, 0.11, 0.15  # inches; a subplot's letter stands before the indent
HOST_SETTINGS = ("backend", "backend_fallback", "interactive")  # how a host shows figures, not how they look
# Text stays text in SVG and PDF, and the same drawing always gives the same bytes.
FIXED_SETTINGS = {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in HOST_SETTINGS} | {
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "segviz",
}
_settings = RLock()  # held while matplotlib's and warnings' global settings are changed


class Page:
    """A figure on which text and axes are placed in inches from the lower left corner."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Adds axes without a frame or ticks."""
        axes = self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))
        axes.set_axis_off()
        return axes

    def text(self, text: str, x: float, y: float, size: float, colour: str = INK, **more: Any) -> None:
        """Writes plain text: no mathematics, no control characters."""
        words = plain_text(text)
        report_missing(words)
        look: Any = {"size": size, "color": colour, "family": choose_families(words), "parse_math": False}
        self.figure.text(x / self.width, y / self.height, words, **look, **more)

    def title(self, text: str, letter: str, left: float, y: float, room: float) -> None:
        """Writes a subplot's title after its letter; a long title gets smaller, takes two lines, and is cut at last."""
        if letter:
            self.text(letter, left, y + LINE_HEIGHT * (title_lines(text, room) - 1), TITLE + 1, weight="bold")
            left, room = left + INDENT, room - INDENT
        fitted = [fit_text(line, room) for line in break_title(text, room)]
        size = min(size for _, size in fitted)
        for number, (words, _) in enumerate(reversed(fitted)):
            self.text(words, left, y + LINE_HEIGHT * number, size)


def title_lines(text: str, room: float) -> int:
    """The number of lines that a title takes, with or without a letter."""
    return len(break_title(text, room - INDENT)) if text else 0


def break_title(text: str, room: float) -> list[str]:
    """The lines of a title: one, or two broken near the middle if one would be too small to read."""
    words = plain_text(text)
    spaces = [at for at, letter in enumerate(words) if letter == " "]
    if not spaces or text_width(words, READABLE) <= room:
        return [words]
    middle = min(spaces, key=lambda at: abs(at - len(words) / 2))
    return [words[:middle], words[middle + 1 :]]


def letter_names() -> Iterator[str]:
    """Yields a to z, then aa, ab and so on."""
    yield from ascii_lowercase
    for first in ascii_lowercase:
        yield from (first + second for second in ascii_lowercase)


def fit_text(text: str, room: float, usual: float = TITLE) -> tuple[str, float]:
    """The text and its size in points: smaller, and cut at last, if it does not fit into `room` inches."""
    words = plain_text(text)
    size = min(usual, max(LEAST, usual * room / max(text_width(words, usual), 1e-9)))
    if text_width(words, size) <= room + 1e-6:
        return words, size
    while len(words) > 1 and text_width(words + "…", size) > room:
        words = words[:-1]
    return words.rstrip() + "…", size


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a text, in inches; letters that are drawn on a grid of pixels may take a little more."""
    font = FontProperties(family=choose_families(text), size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0]) / 72 * HINTING


@contextmanager
def isolate_matplotlib() -> Iterator[None]:
    """Lets one thread draw at a time, with matplotlib's defaults in place of the user's settings, and quietly.

    A matplotlibrc, a style or `rcParams` would otherwise turn pictures upside down (`image.origin`), hide text
    (`savefig.facecolor`) or change the size (`savefig.bbox`). Warnings of missing glyphs are hidden; see `fonts.py`.
    """
    with _settings, warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        with matplotlib.rc_context(FIXED_SETTINGS):
            yield
