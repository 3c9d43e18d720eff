"""Rows of subplots: repeated titles, names of panels, common marks, and rows that are too long."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from segviz.figures.subplot import Box, Mark, Subplot
from segviz.table import escape_formula
from segviz.text import pixel_text

SubplotRow = tuple[Subplot | None, ...]


def drop_repeated_titles(rows: Sequence[Sequence[Subplot | None]]) -> tuple[SubplotRow, ...]:
    """Clears each title that equals the title at the head of its column."""
    head = rows[0]
    lines: list[SubplotRow] = [tuple(head)]
    for row in rows[1:]:
        titles = [subplot.title if subplot else "" for subplot in head] + [""] * len(row)
        lines.append(
            tuple(
                subplot and (replace(subplot, title="") if subplot.title == title else subplot)
                for subplot, title in zip(row, titles, strict=False)
            )
        )
    return tuple(lines)


def name_panels(rows: Sequence[Sequence[Subplot | None]]) -> list[str]:
    """A name for each subplot, row by row, that no other subplot has.

    It is the subplot's title, or the one at the head of its column; if that is taken, with its pixel, or with its row.
    """
    heads: dict[int, str] = {}
    names: dict[str, None] = {}
    for number, row in enumerate(rows, 1):
        for column, subplot in enumerate(row):
            if subplot is None:
                continue
            heads[column] = subplot.title or heads.get(column, "")
            title = escape_formula(heads[column]) or f"column {column + 1}"
            if title in names and subplot.place is not None:
                title = f"{title} ({pixel_text(*subplot.place)})"
            names[free_name(title if title not in names else f"{title}, row {number}", names)] = None
    return list(names)


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with the first free number from 2 if it is taken."""
    return next(one for one in numbered_names(name) if one not in taken)


def numbered_names(name: str) -> Iterator[str]:
    """Yields `name`, `name_2`, `name_3`, and so on."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def add_marks(
    row: Sequence[Subplot | None], marks: tuple[Mark, ...] = (), boxes: tuple[Box, ...] = ()
) -> list[Subplot | None]:
    """Adds the same marks and boxes to every subplot."""
    return [subplot and replace(subplot, marks=subplot.marks + marks, boxes=subplot.boxes + boxes) for subplot in row]


def wrap_row(row: Sequence[Subplot | None], columns: int) -> list[SubplotRow]:
    """Breaks a row into lines of `columns` cells; the last line is filled with empty cells."""
    lines = math.ceil(len(row) / columns)
    filled = [*row, *[None] * (lines * columns - len(row))]
    return [tuple(filled[first : first + columns]) for first in range(0, len(filled), columns)]
