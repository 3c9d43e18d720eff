"""On narrow screens the open sidebar covers the page: what is chosen in it closes it."""

from __future__ import annotations

import streamlit as st

from segviz.ui.component import load_component, mount
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import SOURCE
from segviz.ui.state import session


def close_after_choice(page: str) -> None:
    """Close the sidebar of a narrow screen where the page, the source of pictures or the picture has changed.

    Streamlit folds it only at the start, and after links on devices that call themselves mobile.
    """
    picture = session().picture
    chosen = picture.digest if isinstance(picture, Picture) else picture
    choice = [page, st.session_state.get(SOURCE), chosen]
    mount(load_component("sidebar"), {"choice": choice}, key="narrow sidebar", height="content")
