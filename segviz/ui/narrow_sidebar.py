"""On narrow screens the open sidebar covers the page: what is chosen in it closes it."""

from __future__ import annotations

import streamlit as st

from segviz.ui.component import load_component, mount
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import OWN_PICTURE, SEED, SOURCE
from segviz.ui.state import session


def close_after_choice(page: str) -> None:
    """Close the sidebar of a narrow screen where the page, the source of pictures or the picture has changed.

    A slider of the street is no such choice: one moves it further. Streamlit folds the sidebar only at the start, and
    after links on devices that call themselves mobile.
    """
    source, picture = st.session_state.get(SOURCE), session().picture
    chosen = st.session_state.get(SEED)
    if source == OWN_PICTURE:
        chosen = picture.digest if isinstance(picture, Picture) else picture
    mount(load_component("sidebar"), {"choice": [page, source, chosen]}, key="narrow sidebar", height="content")
