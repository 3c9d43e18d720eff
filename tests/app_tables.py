"""The tables of a page that AppTest runs."""

from __future__ import annotations

import json
from typing import Any

from streamlit.testing.v1 import AppTest


def tables(app: AppTest) -> list[dict[str, list[Any]]]:
    """The values of each table, by their heads."""
    given = (json.loads(one.proto.json)[0] for one in app.get("bidi_component"))
    return [
        {one["title"]: one["values"] for one in data["columns"]}
        for data in given
        if isinstance(data.get("columns"), list)
    ]


def only_table(app: AppTest) -> dict[str, list[Any]]:
    """Those of the page's only table."""
    (found,) = tables(app)
    return found
