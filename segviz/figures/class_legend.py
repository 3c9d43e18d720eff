"""The class legend of printed figures: a line or more for each class set, so that two colour codes never mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.patches import Rectangle

from segviz.data.classes import RgbColour
from segviz.figures.content import Classes
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.overlay import legend
from segviz.figures.page import INK, LINE_HEIGHT, MARGIN, MUTED, SMALL, Page, text_width
from segviz.text import plain_text

PATCH, BEFORE_NAME, AFTER_NAME = (0.08, 0.075), 0.11, 0.11  # inches
TITLE_LETTERS = 40
LegendItem = tuple[str, RgbColour]


@dataclass(frozen=True)
class ClassLegend:
    """The names and colours of the classes of one set that a figure shows.

    Attributes:
        title: which subplots have these classes; empty if the figure has a single set.
        items: name and colour of each class, in index order.
    """

    title: str
    items: tuple[LegendItem, ...]


def class_legends(spec: FigureSpec) -> list[ClassLegend]:
    """A legend for each set of classes and each set of levels that the figure shows, in the order of the subplots."""
    sets: dict[tuple[object, ...], list[tuple[str, Classes]]] = {}
    for title, subplot in zip(spec.panel_names, spec.subplots, strict=True):
        if isinstance(subplot.content, Classes):
            classes = subplot.content.class_set
            key = (subplot.content.levels, classes.names, classes.palette)
            sets.setdefault(key, []).append((title, subplot.content))
    ordinary = sum(not levels for levels, *_ in sets)
    legends = []
    for (levels, *_), shown in sets.items():
        title = "Classes" if not levels and ordinary == 1 else ", ".join(name for name, _ in shown)
        items = shown_classes([content for _, content in shown])
        if items:
            legends.append(ClassLegend(plain_text(title, TITLE_LETTERS), items))
    return legends if len(legends) > 1 else [ClassLegend("", one.items) for one in legends]


def shown_classes(contents: Sequence[Classes]) -> tuple[LegendItem, ...]:
    """Name and colour of every class that any of the label maps shows, in index order; all have the same classes."""
    entries = [entry for one in contents for entry in legend(one.visible_labels, one.class_set) if entry.share > 0]
    return tuple(dict.fromkeys((entry.name, entry.colour) for entry in sorted(entries, key=lambda entry: entry.index)))


def drawn_texts(spec: FigureSpec) -> list[str]:
    """The texts of a figure that may come from a user: names of pictures, models and classes."""
    names = [name for one in class_legends(spec) for name, _ in one.items]
    return [spec.caption(), *(subplot.title for subplot in spec.subplots), *names]


@dataclass(frozen=True)
class LegendLine:
    """One line of a legend; only the first line of a set has a title."""

    title: str
    items: tuple[LegendItem, ...]


def legend_lines(spec: FigureSpec, width: float) -> list[LegendLine]:
    """The legends of the figure, each broken into lines of `width` inches."""
    lines = []
    for one in class_legends(spec):
        items: list[LegendItem] = []
        title, left = one.title, MARGIN + title_width(one.title)
        for item in one.items:
            if items and left + item_width(item[0]) > width - MARGIN:
                lines.append(LegendLine(title, tuple(items)))
                items, title, left = [], "", MARGIN
            items.append(item)
            left += item_width(item[0])
        lines.append(LegendLine(title, tuple(items)))
    return lines


def item_width(name: str) -> float:
    """The width of one class in a legend, in inches."""
    return BEFORE_NAME + text_width(plain_text(name), SMALL) + AFTER_NAME


def title_width(title: str) -> float:
    """The width of a legend's title, in inches."""
    return text_width(f"{title}:", SMALL) + AFTER_NAME if title else 0.0


def line_width(line: LegendLine) -> float:
    """The width of a line of a legend, in inches."""
    return title_width(line.title) + sum(item_width(name) for name, _ in line.items)


def draw_legend(page: Page, lines: Sequence[LegendLine], top: float, start: float = MARGIN) -> None:
    """Draws the lines of a legend below `top`: colour patches and names.

    Args:
        page: the page.
        lines: the lines.
        top: where they begin, in inches.
        start: where the first column of subplots begins; lines that would not fit from there begin before it.
    """
    room = page.width - MARGIN - max(map(line_width, lines), default=0.0)
    start = max(MARGIN, min(start, room))
    for number, line in enumerate(lines, 1):
        left, bottom = start, top - LINE_HEIGHT * number
        if line.title:
            page.text(f"{line.title}:", left, bottom + 0.025, SMALL, MUTED)
            left += title_width(line.title)
        for name, colour in line.items:
            corner = (left / page.width, (bottom + 0.02) / page.height)
            size = (PATCH[0] / page.width, PATCH[1] / page.height)
            share = tuple(part / 255 for part in colour)
            page.figure.add_artist(Rectangle(corner, *size, facecolor=share, edgecolor=INK, linewidth=0.3))
            page.text(name, left + BEFORE_NAME, bottom + 0.025, SMALL)
            left += item_width(name)
