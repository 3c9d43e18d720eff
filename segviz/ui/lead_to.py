"""A link from a page to another page of the app, which says where it leads."""

from __future__ import annotations

import streamlit as st

from segviz.ui.page_table import ROWS


def lead_to(page: str, words: str, icon: str | None = None) -> None:
    """A link to a page.

    Args:
        page: the page's key.
        words: what is there, in Markdown; the page's name follows.
        icon: a name of Streamlit's, such as ":material/apps:".
    """
    st.page_link(ROWS[page].script, label=f"{words} →\N{NO-BREAK SPACE}{ROWS[page].title}", icon=icon)
