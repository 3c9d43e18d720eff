"""How our own Streamlit components (v2) get their data."""

from __future__ import annotations

from typing import Any


def mount(component: Any, data: dict[str, Any], **options: Any) -> None:
    """Show a component; its script finds `data` as the only item of the list that it is given.

    In a dict Streamlit looks for tables, and imports pandas and Arrow to know them: 70 MiB of the server's memory.
    """
    component(data=[data], **options)
