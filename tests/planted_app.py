"""A page that fails in every way a page can, behind the real guard; tests run it as a server."""

import streamlit as st

from segviz.settings import settings

SECRET = "a secret of the server"


def fail() -> None:
    raise RuntimeError(SECRET)


@st.fragment
def part() -> None:
    if st.button("In a fragment"):
        fail()


if __name__ == "__main__":
    st.title("Planted")
    if st.query_params.get("show"):
        st.markdown(st.query_params["show"])  # as no page of ours may: a text of a visitor, as Markdown
    if file := st.file_uploader("File"):
        st.text(f"{file.size} bytes came")
    part()
    st.button("In a callback", on_click=fail)
    if st.button("In the page"):
        fail()
else:
    from segviz.ui.server import configure_app

    app = st.App(__file__, **configure_app(settings()))
