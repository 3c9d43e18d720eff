"""Tables that sort by their heads: a Streamlit component (v2) of real rows and cells, which screen readers can read.

Streamlit's own draws on a canvas, cuts heads off, and loads pandas and Arrow into the server: 70 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from segviz.table import Columns, finite_or_none
from segviz.text import NONE
from segviz.ui.component import load_component, mount


class Described(Protocol):
    """A described column: a `Head`, or a column that also knows its values."""

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
class Head:
    """A column's head; see `Described`."""

    title: str
    meaning: str = ""
    format: str | None = None


def show_table(values: Columns, heads: Iterable[Described], label: str, pinned: str | None = None) -> None:
    """A table whose heads explain themselves and sort it.

    Args:
        values: the columns by their heads; None where there is no value.
        heads: descriptions of columns; columns without one are text.
        label: what the table shows, for screen readers; unique on the page.
        pinned: the head of the column that names the row and stays while others scroll; the first by default.
    """
    pinned = pinned or next(iter(values))
    known = {head.title: head for head in heads}
    columns = []
    for title, given in values.items():
        head, column = known.get(title, Head(title)), [finite_or_none(value) for value in given]
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
    data = {"label": label, "columns": columns}
    mount(load_component("table"), data, key=f"table {label}", width="stretch", height="content")


def format_cell(value: str | float | None, form: str | None) -> str:
    """A cell's text."""
    if value is None:
        return NONE
    return str(value) if form is None else (form % value).replace("-", "−")
