"""What stands around every page: the style sheet, and the list of pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage


def frame(pages: Sequence[StreamlitPage]) -> None:
    """Loads the style sheet, and tells the start page of all pages, itself first."""
    st.session_state["pages"] = pages
    st.html(Path(__file__).with_name("page.css"))


def other_pages() -> Sequence[StreamlitPage]:
    """All pages but the start page, in their order."""
    return st.session_state["pages"][1:]  # type: ignore[no-any-return]
