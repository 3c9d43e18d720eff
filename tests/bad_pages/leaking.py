"""A page with the classic fault: what a model attends to waits on the shared model until the page reads it."""

import hashlib
import time

import streamlit as st


class Model:
    """Keeps its last attention on itself, as a forward hook or `self.attention` does."""

    def __call__(self, seed: int) -> str:
        self.attention = hashlib.sha256(str(seed).encode()).hexdigest()
        time.sleep(0.02)
        return self.attention


@st.cache_resource
def model() -> Model:
    """The one model of all sessions."""
    return Model()


seed = st.sidebar.number_input("Street", 0, 999_999, value=3)
st.code(model()(int(seed)))
