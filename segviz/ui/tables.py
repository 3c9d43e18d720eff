"""Tables that sort by their heads: a Streamlit component (v2) of real rows and cells, which screen readers can read.

Streamlit's own draws on a canvas, cuts heads off, and loads pandas and Arrow into the server: 70 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import streamlit as st

from segviz.table import Columns, finite_or_none
from segviz.text import NONE
from segviz.ui.component import load_component, mount


class Described(Protocol):
    """A described column: a `ColumnHead`, or a column that also knows its values."""

    @property
    def title(self) -> str:
        """The head."""

    @property
    def meaning(self) -> str:
        """A sentence shown at the head under the pointer."""

    @property
    def format(self) -> str | None:
        """The format of numbers, such as "%.1f"; None for text."""


@dataclass(frozen=True)
class ColumnHead:
    """A column's head; see `Described`."""

    title: str
    meaning: str = ""
    format: str | None = None


@dataclass(frozen=True)
class Opener:
    """What happens when the reader opens a cell.

    Attributes:
        pick: called with the row's number and the column's head.
        opened: the row and head of the cell that is open; it is marked.
        place: the key of the container that shows what is opened; the browser goes there.
    """

    pick: Callable[[int, str], None]
    opened: tuple[int, str]
    place: str


def explain_columns(heads: Iterable[Described]) -> None:
    """The meanings of a table's columns as a folded list, for readers without a pointer; the heads have them too."""
    with st.expander("What the columns mean"):
        st.markdown("\n".join(f"- **{head.title}**: {head.meaning}" for head in heads if head.meaning))


def show_table(
    values: Columns,
    heads: Iterable[Described],
    label: str,
    pinned: str | None = None,
    opener: Opener | None = None,
) -> None:
    """A table whose heads explain themselves and sort it.

    Args:
        values: the columns by their heads; None where there is no value.
        heads: descriptions of columns; columns without one are text.
        label: what the table shows, for screen readers; unique on the page.
        pinned: the head of the column that names the row and stays while others scroll; the first by default.
        opener: with it, every cell with a value is a button that opens it, but those that name the row.
    """
    pinned = pinned or next(iter(values))
    known = {head.title: head for head in heads}
    columns = []
    for title, given in values.items():
        head, column = known.get(title, ColumnHead(title)), [finite_or_none(value) for value in given]
        columns.append(
            {
                "title": title,
                "meaning": head.meaning,
                "number": head.format is not None,
                "pinned": title == pinned,
                "texts": [format_cell(value, head.format) for value in column],
                "values": column,
            }
        )
    data: dict[str, object] = {"label": label, "columns": columns}
    if opener is not None:
        data |= {"place": opener.place, "opened": opener.opened}
    key = f"table {label}"

    def take_pick() -> None:
        """Call the opener with what the browser sent, if it is a cell of this table."""
        state = st.session_state.get(key)
        cell = state.get("picked") if isinstance(state, Mapping) else None
        if opener is None or not isinstance(cell, list) or len(cell) != 2:
            return
        row, title = cell
        if type(row) is int and isinstance(title, str) and title in values and 0 <= row < len(values[title]):
            opener.pick(row, title)

    mount(load_component("table"), data, key=key, width="stretch", height="content", on_picked_change=take_pick)


def format_cell(value: str | float | None, form: str | None) -> str:
    """A cell's text."""
    if value is None:
        return NONE
    return str(value) if form is None else (form % value).replace("-", "−")
