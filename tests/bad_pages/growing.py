"""A page with the other classic fault: a cache without a bound."""

import numpy as np
import streamlit as st


@st.cache_data
def picture(seed: int) -> np.ndarray:
    """Half a megabyte for each seed, for ever."""
    return np.random.default_rng(seed).integers(0, 256, (400, 400, 3), np.uint8)


seed = st.sidebar.number_input("Street", 0, 999_999, value=3)
st.code(picture(int(seed)).sum())
