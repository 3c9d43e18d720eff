"""A server that keeps the sessions whose visitors have left, and so their uploads, in a forgotten list."""

import streamlit as st

LABELS = "Picture", "Photograph or other picture"  # of the app

if __name__ == "__main__":
    st.sidebar.segmented_control(LABELS[0], ("Drawn scene", "My picture"))
    st.sidebar.file_uploader(LABELS[1])
else:
    from segviz.settings import settings
    from segviz.ui import sessions
    from segviz.ui.server import configure_app

    left: list[object] = []
    sessions.end_session = left.append  # type: ignore[assignment]
    app = st.App(__file__, **configure_app(settings()))
