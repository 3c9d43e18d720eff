"""The viewer on a page, with its link and its export."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from segviz.figures.figure_spec import Subplot
from segviz.ui.export_button import take_away
from segviz.ui.models import model_of
from segviz.ui.page_address import link
from segviz.ui.permalink import copy_button
from segviz.ui.picture_sidebar import Picture
from segviz.ui.session import STARTS, display_of, keep_display, pins
from segviz.ui.viewer import show_panels
from segviz.viewer.display import Display
from segviz.viewer.panel import Panel, Pin
from segviz.viewer.to_figure import Viewer


def show(
    chosen: Picture,
    panels: Sequence[Panel],
    *,
    key: str,
    columns: int = 2,
    start: Sequence[Pin] = (),
    more: Sequence[Subplot] = (),
) -> None:
    """The viewer over the picture; above it, what copies the page's link and what takes it away as a file.

    Its pins and how the reader has it drawn are kept for every page.

    Args:
        chosen: the picture.
        panels: what to show of it.
        key: the page's name in the address.
        columns: how many panels lie side by side where there is room.
        start: the pins of a visitor who has none yet; they become the visitor's own with the first edit.
        more: what the page shows beside the viewer, for its files.
    """
    above = st.container(horizontal=True, horizontal_alignment="right")
    display = display_of(key)
    keep_display(key, display)
    given = pins(key, start)
    now = show_panels(chosen.image, panels, given, key=key, columns=columns, display=display)
    if "pins" in st.session_state or now != tuple(start):
        st.session_state["pins"] = now
    with above:
        copy_button(link(key), key, STARTS.get(key, Display()))
        take_away(key, chosen.name, Viewer(chosen.image, now, display, columns, model_of), panels, more)
