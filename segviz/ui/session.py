"""The session: which points are pinned, how maps are drawn, what models made of the picture, and its link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from segviz.ui.picture_sidebar import picture
from segviz.ui.viewer import latest_display, latest_pins
from segviz.viewer.display import Display
from segviz.viewer.panel import Pin

STARTS: Mapping[str, Display] = {
    "blocks": Display(range="shared", scale="log"),
}  # pages whose maps begin on a range and a scale of their own, and keep them to themselves


def pins(key: str, start: Sequence[Pin] = ()) -> tuple[Pin, ...]:
    """The pinned points inside the picture, with the browser's newest edit of the viewer `key` already in.

    `start` are those of a visitor who has not pinned anything yet.
    """
    height, width = picture().image.shape[:2]
    kept = latest_pins(key, st.session_state.get("pins", start))
    return tuple(pin for pin in kept if pin.y < height and pin.x < width)


def kept_display(page: str) -> Display:
    """How the reader has pages drawn; a page of STARTS has its own range and scale."""
    kept: Display = st.session_state.get("display", Display())
    if page not in STARTS:
        return kept
    own = st.session_state.get(f"kept {page} display", STARTS[page])
    return replace(kept, range=own.range, scale=own.scale)


def display_of(page: str) -> Display:
    """How the reader has a page drawn, with the newest settings that the browser told of its viewer."""
    return latest_display(page, kept_display(page))


def keep_display(page: str, display: Display) -> None:
    """Remembers it for `kept_display`."""
    if page in STARTS:
        st.session_state[f"kept {page} display"] = display
        others = st.session_state.get("display", Display())
        display = replace(display, range=others.range, scale=others.scale)
    st.session_state["display"] = display


# ---- permalinks -----------------------------------------------------------------------------------------
