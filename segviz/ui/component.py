"""The app's own Streamlit components (v2): how they are loaded and how they get their data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

COMPONENTS = Path(__file__).parent / "components"


@cache
def load_component(name: str) -> Any:
    """The component of components/NAME.html, .css and .js."""
    markup, style, script = (
        (COMPONENTS / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    return st.components.v2.component(f"segviz_{name}", html=markup, css=style, js=script)


def mount(component: Any, data: dict[str, Any], **options: Any) -> None:
    """Show a component; its script gets a list whose only item is `data`.

    In a dict Streamlit looks for tables, and imports pandas and Arrow to recognise them: 70 MiB of server memory.
    """
    component(data=[data], **options)
