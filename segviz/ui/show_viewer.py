"""The viewer on a page, with its link and its export."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from segviz.figures.subplot import Subplot
from segviz.figures.viewer_figure import Viewer
from segviz.prediction.prediction import Place
from segviz.ui.display_settings import current_display, store_display
from segviz.ui.export_button import show_export
from segviz.ui.first_sight import first_seen, tell_first
from segviz.ui.page_address import copy_page_link
from segviz.ui.picture import Picture
from segviz.ui.pins import current_pins
from segviz.ui.state import session
from segviz.ui.viewer import show_panels
from segviz.ui.zoom import take_view
from segviz.viewer.panel import Panel, Pin
from segviz.viewer.start_scale import set_starts


def show_viewer(
    picture: Picture,
    panels: Sequence[Panel],
    *,
    page: str,
    columns: int = 2,
    start: Sequence[Pin] = (),
    more: Sequence[Subplot] = (),
    chosen: int | None = None,
    rest: Place | None = None,
    why: str = "",
) -> None:
    """The viewer over the picture, with the buttons that copy the page's link and export the page.

    The session keeps the pins and the viewer's settings for every page.

    Args:
        picture: the picture.
        panels: what to show over it.
        page: the page's key.
        columns: how many panels stand side by side where there is room.
        start: the pins of a visitor who has none yet; the first edit makes them the visitor's own.
        more: what the page shows beside the viewer, for its exports.
        chosen: the index of the pin that the page computes something for (`pins.choose_pin`).
        rest: the pixel (y, x) at which the page begins without pins (`first_sight`); None for the middle.
        why: why it begins there, as `first_sight.why_first` says it; "" says nothing.
    """
    kept = current_pins(page, start)
    frame = st.container(key="viewer frame", gap=None)
    actions = frame.container(key="viewer actions", horizontal=True, width="content", gap="xsmall")
    display = current_display(page)
    store_display(page, display)
    view = take_view(page, picture.size)
    panels = set_starts(panels, first_seen(page, picture, kept, rest), kept, picture.size, display)
    with frame:
        pins = show_panels(
            picture.image,
            panels,
            kept,
            key=page,
            columns=columns,
            display=display,
            view=view,
            digest=picture.digest,
            chosen=chosen,
            rest=rest,
            first=tell_first(why),
        )
    state = session()
    if state.pins is not None or pins != tuple(start):
        state.pins = pins
    with actions:
        copy_page_link(page, chosen)
        show_export(page, picture.name, Viewer(picture.image, pins, display, columns, rest, view, why), panels, more)
