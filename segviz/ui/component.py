"""Our own Streamlit components (v2): where their files lie, and how they get their data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(__file__).parent / "components"


@cache
def registered(name: str) -> Any:
    """The component of components/NAME.html, .css and .js."""
    markup, style, script = ((FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component(f"segviz_{name}", html=markup, css=style, js=script)


def mount(component: Any, data: dict[str, Any], **options: Any) -> None:
    """Show a component; its script finds `data` as the only item of the list that it is given.

    In a dict Streamlit looks for tables, and imports pandas and Arrow to know them: 70 MiB of the server's memory.
    """
    component(data=[data], **options)
