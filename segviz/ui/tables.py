"""Tables that sort by their heads: a Streamlit component (v2) of real rows and cells, which every reader can read.

Streamlit's own draws on a canvas, cuts heads off, and loads pandas and Arrow into the server: 70 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from segviz.table import Columns, finite_or_none
from segviz.text import NONE
from segviz.ui.component import mount, registered


class Described(Protocol):
    """What a column is: a `Head`, or a column that also knows its values."""

    @property
    def title(self) -> str:
        """Its head."""

    @property
    def meaning(self) -> str:
        """In a sentence, for those who point at the head."""

    @property
    def format(self) -> str | None:
        """How numbers are written, as "%.1f"; None for text."""


@dataclass(frozen=True)
class Head:
    """A column's head; see `Described`."""

    title: str
    meaning: str = ""
    format: str | None = None


def show_table(values: Columns, heads: Iterable[Described], label: str, pinned: str | None = None) -> None:
    """A table whose heads explain themselves and sort it.

    Args:
        values: by the columns' heads; None where there is nothing.
        heads: what the columns are; those that are not among them are texts.
        label: what the table shows, for those who cannot see it; no two tables of a page have the same.
        pinned: the head of the column that stays while others scroll, and names the row; the first by default.
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
                "texts": [written(value, head.format) for value in column],
                "values": column,
            }
        )
    data = {"label": label, "columns": columns}
    mount(registered("table"), data, key=f"table {label}", width="stretch", height="content")


def written(value: str | float | None, form: str | None) -> str:
    """A cell's text."""
    if value is None:
        return NONE
    return str(value) if form is None else (form % value).replace("-", "−")
