"""How a visitor has set the viewer, on all pages."""

from __future__ import annotations

from dataclasses import replace

from segviz.ui.page_table import ROWS
from segviz.ui.state import session
from segviz.ui.viewer import latest_display
from segviz.viewer.display import Display


def has_own_scale(page: str) -> bool:
    """Whether the page keeps a range and a scale of its own."""
    return page in ROWS and ROWS[page].start is not None


def stored_display(page: str) -> Display:
    """The settings of a page's viewer as they were last stored."""
    state, row = session(), ROWS.get(page)
    if row is None or row.start is None:
        return state.display
    own = state.page_displays.get(page, row.start)
    return replace(state.display, range=own.range, scale=own.scale)


def current_display(page: str) -> Display:
    """The settings of a page's viewer, with the newest that the browser sent."""
    return latest_display(page, stored_display(page))


def store_display(page: str, display: Display) -> None:
    """Store the settings; the range and the scale of a page that has its own stay with that page."""
    state = session()
    if has_own_scale(page):
        state.page_displays[page] = display
        display = replace(display, range=state.display.range, scale=state.display.scale)
    state.display = display
