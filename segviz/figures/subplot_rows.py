"""Rows of subplots: repeated titles, common marks, and rows that are too long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from segviz.figures.subplot import Box, Mark, Subplot

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
