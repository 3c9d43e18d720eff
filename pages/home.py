"""Start: a drawn street with a live map over it, and the other pages by what they are for."""

import streamlit as st

from segviz.attention.maps import BasesAttention
from segviz.models.registry import SPECS
from segviz.ui.map_help import how_to_read
from segviz.ui.models import predict
from segviz.ui.page_frame import other_pages
from segviz.ui.picture_sidebar import FIRST_STREET, picture
from segviz.ui.show import show
from segviz.viewer.panel import Panel, Pin

KEY = "home"
MODEL = "ema"  # of the bundled blocks the one whose maps follow the picture most clearly, and that scores miss most
VAN = (Pin(175, 290, 0),)  # in the first street: where the map rests before anyone points
TASKS = {
    "inspect": ("Inspect a model", "Every map that a model has, under the pointer and for kept points."),
    "blocks": ("Same pixel, every block", "Where each of eleven models looks from one place, on one scale."),
    "compare": ("Compare models", "Predictions side by side, where they differ, IoU by class."),
    "attribution": ("Attribution", "Gradients and occlusion beside the block's own attention."),
    "results": ("Results", "Scores, costs and confusions of the bundled models."),
}  # by a page's address: its task, and what is there

st.title("See where a pixel looks")
st.markdown("Attention lets a network judge a pixel by looking at others. **Point at the street** to see at which.")
street, links = st.columns([7, 3], gap="large")
with links:
    with st.container(key="tasks", gap="xsmall"):
        tasks = [page for page in other_pages() if page.url_path in TASKS]
        for page in tasks:
            task, there = TASKS[page.url_path]
            st.page_link(page, label=f"**{task}**  \n{there}", icon=page.icon)
    st.caption("One block, as its paper shows it")
    with st.container(horizontal=True, gap="xsmall"):
        for page in other_pages():
            if page not in tasks:
                st.page_link(page, icon=page.icon)
    how_to_read(MODEL)
with street:
    chosen = picture()
    attention = predict(MODEL, chosen).map_of(BasesAttention, "bases")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panel = Panel("Where the pixel looks", attention, "attends_to", note=SPECS[MODEL].title)
    start = VAN if chosen.name == FIRST_STREET else ()
    show(chosen, [panel], key=KEY, columns=1, start=start)


with street:
    viewer()
