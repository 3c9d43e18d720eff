"""A picture that is dropped anywhere on a page, or onto its pictures, becomes the visitor's own picture."""

from __future__ import annotations

import streamlit as st

from segviz.ui.component import load_component, mount


def take_drops(key: str, value: str) -> None:
    """Let the page take dropped files: the browser hands them to the uploader of the own picture.

    Args:
        key: the key of the widget that chooses the source of pictures.
        value: the source that shows the uploader.
    """

    def show_uploader() -> None:
        st.session_state[key] = value

    mount(load_component("drop"), {}, key="drop", height="content", on_dropped_change=show_uploader)
