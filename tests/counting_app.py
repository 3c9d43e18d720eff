"""A page that counts how often its button was pressed, behind the real guard; tests run it as a server."""

import streamlit as st

from segviz.settings import settings


def count() -> None:
    st.session_state.presses = st.session_state.get("presses", 0) + 1


if __name__ == "__main__":
    st.button("Count", on_click=count)
    st.text(str(st.session_state.get("presses", 0)))
else:
    from segviz.ui.server import configure_app

    app = st.App(__file__, **configure_app(settings()))
