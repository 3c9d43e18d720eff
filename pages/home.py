"""Start: a drawn street with a live map over it, and the other pages by what they are for."""

import streamlit as st

from segviz.attention.maps import BasesAttention
from segviz.models.registry import SPECS
from segviz.ui.map_help import how_to_read
from segviz.ui.models import predict_or_stop
from segviz.ui.page_table import PAGES, Group
from segviz.ui.picture_sidebar import FIRST_STREET, current_picture
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panel import Panel, Pin

PAGE = "home"
MODEL = "ema"  # of the bundled blocks, the one whose maps follow the picture most clearly and whose scores need it most
VAN = (Pin(175, 290, 0),)  # in the first street: where the map rests before anyone points

st.title("See where a pixel looks")
st.markdown(
    "Attention lets a network judge a pixel by looking at others. **Point at the street, or tap it,** to see at which."
)
street, links = st.columns([7, 3], gap="large")
with links:
    with st.container(key="tasks", gap="xsmall"):
        for row in PAGES:
            if row.group is Group.TASK:
                label = f"**{row.task}**  \n{row.summary}"
                st.page_link(row.script, label=label, icon=f":material/{row.icon}:")
    st.caption(Group.PAPER.value)
    with st.container(horizontal=True, gap="xsmall"):
        for row in PAGES:
            if row.group is Group.PAPER:
                st.page_link(row.script, icon=f":material/{row.icon}:")
    how_to_read(MODEL)
with street:
    picture = current_picture()
    attention = predict_or_stop(MODEL, picture).map_of(BasesAttention, "bases")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panel = Panel("Where the pixel looks", attention, "attends_to", note=SPECS[MODEL].title, model=MODEL)
    start = VAN if picture.name == FIRST_STREET else ()
    show_viewer(picture, [panel], page=PAGE, columns=1, start=start)


with street:
    viewer()
