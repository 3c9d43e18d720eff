"""The zoom of each page's viewer."""

from __future__ import annotations

from segviz.ui.state import session
from segviz.ui.viewer import latest_view
from segviz.viewer.view import ZoomedView


def stored_view(page: str) -> ZoomedView:
    """The part of the picture that a page's viewer shows, as it was last stored."""
    return session().views.get(page, (ZoomedView(), None))[0]


def take_view(page: str, size: tuple[int, int]) -> ZoomedView:
    """The view with the newest that the browser sent, stored from now on; it holds for pictures of one size.

    Args:
        page: the page's key.
        size: the picture's (height, width).
    """
    views = session().views
    view, before = views.get(page, (ZoomedView(), None))
    view = latest_view(page, view if before in (None, size) else ZoomedView())
    views[page] = view, size
    return view
