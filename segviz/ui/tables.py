"""Tables that sort by their heads: a Streamlit component (v2) of real rows and cells, which every reader can read.

Streamlit's own draws on a canvas, cuts heads off, and loads pandas and Arrow into the server: 70 MiB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from segviz.ui.component import mount
from segviz.views.results_tables import Columns
from segviz.views.text import NONE

WEB = Path(__file__).parents[1] / "web"


@dataclass(frozen=True)
class Head:
    """What a column is.

    Attributes:
        meaning: in a sentence, for those who point at the head.
        format: how numbers are written, as "%.1f"; None for text.
    """

    meaning: str = ""
    format: str | None = None


def show_table(values: Columns, heads: Mapping[str, Head], label: str, pinned: str | None = None) -> None:
    """A table whose heads explain themselves and sort it.

    Args:
        values: by the columns' heads; None where there is nothing.
        heads: what the columns are; those that it does not name are texts.
        label: what the table shows, for those who cannot see it; no two tables of a page have the same.
        pinned: the head of the column that stays while others scroll, and names the row; the first by default.
    """
    pinned = pinned or next(iter(values))
    columns = []
    for title, given in values.items():
        head, column = heads.get(title, Head()), [finite(value) for value in given]
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
    mount(_component(), data, key=f"table {label}", width="stretch", height="content")


def finite(value: str | float | None) -> str | float | None:
    """None for numbers that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def written(value: str | float | None, form: str | None) -> str:
    """A cell's text."""
    if value is None:
        return NONE
    return str(value) if form is None else (form % value).replace("-", "−")


@cache
def _component() -> Any:
    markup, style, script = ((WEB / f"table.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("segviz_table", html=markup, css=style, js=script)
