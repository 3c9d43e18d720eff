"""The one way to keep a widget's value while other pages are shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, TypedDict

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from segviz.ui.state import session

NOTHING = "none"  # in an address: a list of no options


class KeptWidget(TypedDict):
    """The arguments of a widget that keeps its value for the session."""

    key: str
    persist_state: Literal["session"]


def keep_widget(
    key: str, start: object, among: Collection[Any] | None = None, linked: Collection[Any] = ()
) -> KeptWidget:
    """Arguments with which a widget keeps its value for the session, also while no page shows it.

    `st.slider("Steps", 1, 9, **keep_widget("steps", 4))`. Streamlit keeps the value under the widget's key, where a
    link can set it before the widget is drawn. The start value goes there too: a widget with a default of its own
    shows a warning when a link has set its value. Streamlit's `bind="query-params"` is not used: it drops what it
    cannot read without a word, it needs the widget's key to be the name in the address, so "model" could not be one
    model on one page and several on another, and link.js writes pins and settings to the same address.

    Args:
        key: the widget's key.
        start: its first value; a list for widgets that choose several.
        among: the options, where they change: a value that is no longer among them becomes the start value, and a list
            loses it.
        linked: the options, where the page's link carries the value; with a list as `start`, several of them.
    """
    if linked:
        take_linked(key, start, linked)
    value = st.session_state.get(key, start)
    if among is not None:
        value = [one for one in value if one in among] if isinstance(value, list) else value
        value = value if isinstance(value, list) or value in among else start
    context, pages = get_script_run_ctx(), session().widget_pages
    page = "" if context is None else context.page_script_hash
    # A widget that several pages share is a new one on each page; Streamlit would give it its default for one run.
    if pages.get(key) != page or key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    pages[key] = page
    return {"key": key, "persist_state": "session"}


def take_linked(key: str, start: object, options: Collection[Any]) -> bool:
    """Let links carry a widget's value, and set the value that the page's link has for it; a wrong one is refused.

    Returns:
        Whether the link had a value.
    """
    state, name = session(), control_name(key)
    state.linked[key] = start
    texts = state.link.controls.pop(name, None)
    if texts is None:
        return False
    by_text = {str(option).lower(): option for option in options}
    values = [by_text[text] for text in dict.fromkeys(texts) if text in by_text]
    empty = isinstance(start, list) and texts == (NOTHING,)
    if not empty and (len(values) < len(texts) or (not isinstance(start, list) and len(values) != 1)):
        state.link.refused = tuple(sorted({*state.link.refused, name}))
    if values or empty:
        st.session_state[key] = values if isinstance(start, list) else values[0]
    return bool(values or empty)


def forget_linked(*keys: str) -> None:
    """Let links no longer carry widgets that the page does not show."""
    for key in keys:
        session().linked.pop(key, None)


def linked_controls(page: str) -> list[tuple[str, str]]:
    """The names and values of a page's controls that differ from those of a first visit, for its link."""
    pairs = []
    for key, start in session().linked.items():
        value = st.session_state.get(key, start)
        if key.startswith(f"{page} ") and value != start:
            values = (value or [NOTHING]) if isinstance(value, list) else [value]
            pairs += [(control_name(key), str(one).lower()) for one in values]
    return pairs


def control_name(key: str) -> str:
    """A widget's name in an address."""
    return key.replace(" ", "-")
