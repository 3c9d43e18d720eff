"""Start: a drawn street with a live map over it, and the other pages by what they are for."""

import streamlit as st

from segviz.attention.maps import BasesAttention
from segviz.catalogue.own_models import own_models
from segviz.models.registry import MODELS
from segviz.text import escape_markdown, join_with_commas
from segviz.ui.first_sight import FIRST_MODEL, first_place, say_why, why_first
from segviz.ui.lead_to import lead_to
from segviz.ui.map_help import explain_first_worth, how_to_read
from segviz.ui.models import predict_or_stop
from segviz.ui.page_table import PAGES, Group
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panel import Panel, Pin

PAGE = "home"
NAMED = 3  # networks of one's own that are named; of more, their number

st.title("See where a pixel looks")
st.markdown(
    "Attention lets a network judge a pixel by looking at others. **Point at the street, or tap it,** to see "
    "which ones."
)
if own := list(own_models().values()):
    titles = join_with_commas(escape_markdown(entry.title) for entry in own[:NAMED])
    more = f" and {len(own) - NAMED} more" if len(own) > NAMED else ""
    words = f"Your network{'s' if len(own) > 1 else ''}: **{titles}**{more}"
    lead_to("inspect", words, ":material/deployed_code:")
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
    how_to_read(FIRST_MODEL)
with street:
    picture = current_picture()
    prediction = predict_or_stop(FIRST_MODEL, picture)
    attention = prediction.map_of(BasesAttention, "bases")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panel = Panel("Where the pixel looks", attention, "attends_to", note=MODELS[FIRST_MODEL].title, model=FIRST_MODEL)
    place, why = first_place(prediction, picture), why_first(prediction, picture)
    show_viewer(picture, [panel], page=PAGE, columns=1, start=(Pin(*place, 0),), rest=place, why=why)


with street:
    viewer()
    explain_first_worth(FIRST_MODEL)
    st.caption(say_why(why_first(prediction, picture)))
