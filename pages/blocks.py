"""Same pixel, every block: where each model looks from one place, or who looks at it, and what the numbers say."""

import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.engine import digest
from segviz.figures.same_pixel_table import no_map_sentences
from segviz.ui.picture_sidebar import picture
from segviz.ui.progressive import ready, run_next
from segviz.ui.same_pixel import numbers, panels
from segviz.ui.session import kept_display, pins
from segviz.ui.show import show

KEY = "blocks"

st.title("Same pixel, every block")
st.caption(
    "Point at any picture: each shows where its model looks from that place, or, by the switch above them, who looks "
    "at it. All maps begin on one shared, logarithmic scale: the share of the weight on a cell. The cells of a coarse "
    "grid are larger, so each holds more. Click to keep points; their numbers stand below."
)
chosen = picture()
names = available_models()
if not names:
    st.error("No trained checkpoint is in the checkpoints folder; restore them or train one.")
    st.stop()
predictions = ready(names, chosen, KEY)


@st.fragment
def viewer() -> None:
    """A pin or a setting runs this part alone."""
    show(chosen, panels(names, predictions), key=KEY, columns=3)
    numbers(digest(chosen.image), predictions, pins(KEY), kept_display(KEY).direction)


viewer()
st.caption(
    "**Depends** asks whether a map is about its point at all. Non-local maps are known to become "
    "query-independent, the same everywhere (Cao et al., GCNet, ICCVW 2019, section 3; "
    "[xvjiarui/GCNet #7](https://github.com/xvjiarui/GCNet/issues/7) asks about segmentation). Windows and crosses "
    "that move with the point, as SNL's and RCCA's, depend on it by their make."
)
if without := no_map_sentences(list(predictions.values())):
    st.subheader("No map from place to place")
    st.markdown("\n".join(f"- {one}" for one in without))
run_next(names, chosen, KEY)
