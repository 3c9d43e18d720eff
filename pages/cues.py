"""Cues: scenes whose correct answer is known. Which block finds the cue that tells an object's class?"""

import streamlit as st

from segviz.data.scenes.cues import CUE_KINDS
from segviz.models.registry import MODELS
from segviz.results.cue_table import (
    CUE_MEASURES,
    cue_table,
    describe_measure,
    describe_training,
    read_cue_records,
    surprises,
)
from segviz.results.cue_theory import CUE_REASONS
from segviz.text import escape_markdown
from segviz.ui.charts import csv_button
from segviz.ui.cues import (
    BLOCK,
    FIRST_NETWORK,
    KIND,
    SCENE,
    SCENE_NUMBERS,
    answer_or_stop,
    cue_panels,
    describe_point,
    first_pin,
    frame_cues,
    go_to_next_scene,
    open_cell,
    place_in_table,
)
from segviz.ui.models import model_title
from segviz.ui.picture import Picture
from segviz.ui.pins import current_pins, swap_pins
from segviz.ui.show_viewer import show_viewer
from segviz.ui.state import session
from segviz.ui.tables import ColumnHead, Opener, show_table
from segviz.ui.widgets import keep_widget

PAGE, OPENED = "cues", "opened"  # the page, and the container of the network that is open

st.title("Cues")
st.caption(
    "Where should a block look? In these scenes it is known. A white object takes its class from a coloured cue "
    "elsewhere in the scene (orange, blue or yellow); nothing near the object gives it away. A tiny network of two "
    "convolutions, one block and a linear classifier was trained for each cell of the table."
)
records, problems = read_cue_records()
for problem in problems:
    st.warning(escape_markdown(problem))
if not records:
    st.info("checkpoints/cues has no network yet; `python -m segviz train-cues` trains them.")
    st.stop()
first_block, first_kind = FIRST_NETWORK if FIRST_NETWORK in records else next(iter(records))


def show_cells(block: str, kind: str) -> None:
    """The table; a cell opens its network below, where that of this block and kind is open."""
    measures = list(CUE_MEASURES)
    kept = keep_widget("cues measure", measures[0], linked=measures)
    measure = str(st.segmented_control("In the table", measures, required=True, label_visibility="collapsed", **kept))
    heads = [ColumnHead(kind.title, f"Its class is told by {kind.rule}.") for kind in CUE_KINDS.values()]
    table = cue_table(records, measure)
    opener = Opener(open_cell, place_in_table(block, kind), OPENED)
    show_table(table, heads, "Blocks by kinds of cue", opener=opener)
    st.caption("Open a cell to see its network below. The marked cell is open.")
    st.caption(describe_measure(measure, table))
    csv_button(table, f"cues-{measure.lower().replace(' ', '-')}")
    with st.expander("Why theory says so, and where practice differs"):
        st.markdown("\n".join(f"- **{MODELS[name].title}**: {reason}." for name, reason in CUE_REASONS.items()))
        if sentences := surprises(records):
            st.markdown("Measured otherwise:\n" + "\n".join(f"- {sentence}" for sentence in sentences))
        st.caption(describe_training(records))


cells, opened = st.container(), st.container(key=OPENED)
left, middle, right, button = st.columns([3, 3, 2, 1], vertical_alignment="bottom")
block = left.selectbox("Block", MODELS, format_func=model_title, **keep_widget(BLOCK, first_block, MODELS))
kind = middle.selectbox(
    "Cue", CUE_KINDS, format_func=lambda key: CUE_KINDS[key].title, **keep_widget(KIND, first_kind, linked=CUE_KINDS)
)
number = right.number_input("Scene", 0, SCENE_NUMBERS - 1, **keep_widget(SCENE, 0, linked=range(SCENE_NUMBERS)))
with cells:
    show_cells(block, kind)
opened.header(f"{MODELS[block].title}, {CUE_KINDS[kind].title.lower()}")
button.button("Next", on_click=go_to_next_scene, width="stretch", help="Another scene of this kind")
answers = answer_or_stop(block, kind, int(number))
assert answers.prediction.image is not None
swap_pins(f"cues {kind} {number}")
plain = session().picture = Picture(f"cue scene {kind} {number}", answers.prediction.image)


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    start = (first_pin(answers.scene),)
    pins = current_pins(PAGE, start)
    framed = Picture(plain.name, frame_cues(answers, pins))
    show_viewer(framed, cue_panels(answers, pins), page=PAGE, columns=3, start=start)
    st.markdown("\n".join(f"- {describe_point(answers, pin)}" for pin in pins))


st.caption(
    f"The class of each object is told by {CUE_KINDS[kind].rule}. Click a white object to pin a point: the cue that "
    "decides its class is framed in the point's colour. Two convolutions come before "
    "the block, so cells up to two away from a cue also see its colour; weight there is not counted as weight on the "
    "cue."
)
viewer()
