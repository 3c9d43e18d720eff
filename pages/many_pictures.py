"""Many pictures: one model over many files, or a ZIP of them; the results come as one ZIP."""

import streamlit as st

from segviz.batch.attention_files import AttentionOptions
from segviz.batch.run import Part
from segviz.catalogue.bundled import available_models
from segviz.engine import engine
from segviz.figures.export import FORMS
from segviz.ui.batch import UPLOAD_HELP, follow_run, is_running, make_work, start_run
from segviz.ui.models import pick_model
from segviz.ui.own_picture import ANY_NAME
from segviz.ui.state import session
from segviz.ui.widgets import keep_widget

LARGEST_UPLOAD = 200  # MB of a ZIP
MAPS = "Attention maps"
WRITES: dict[str, Part] = {"Labels": "labels", "Overlay": "overlay", "Confidence": "confidence"}
INSIDE, AT = "Inside the largest class", "At a pixel"

st.title("Many pictures")
st.caption("One model over many pictures. The results come as one ZIP, with a summary of each picture.")
files = st.file_uploader(
    "Pictures, or a ZIP of them",
    ANY_NAME,
    accept_multiple_files=True,
    max_upload_size=LARGEST_UPLOAD,
    key="batch files",
    help=UPLOAD_HELP,
)
left, right = st.columns([1, 2], vertical_alignment="bottom")
with left:
    model = pick_model("Model", available_models(), "fla", "batch model")
written = right.pills(
    "Write", (*WRITES, MAPS), selection_mode="multi", **keep_widget("batch parts", ["Labels", "Overlay"])
)


def pick_maps() -> AttentionOptions:
    """The maps to draw; scale and colours are those that the viewer is set to."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    where = left.segmented_control("Point", (INSIDE, AT), required=True, **keep_widget("batch point", INSIDE))
    forms = right.pills(
        "Maps as", FORMS, selection_mode="multi", format_func=str.upper, **keep_widget("batch forms", ["png", "npz"])
    )
    places: tuple[tuple[int, int], ...] = ()
    if where == AT:
        y = int(left.number_input("y, from the top", 0, 100_000, **keep_widget("batch y", 100)))
        x = int(right.number_input("x, from the left", 0, 100_000, **keep_widget("batch x", 100)))
        places = ((y, x),)
    display = session().display
    return AttentionOptions(
        places, kind=display.scale, one_scale=display.range == "shared", colours=display.colours, forms=tuple(forms)
    )


options = pick_maps() if MAPS in written else None
ready = bool(files) and bool(written) and (options is None or bool(options.forms))
parts = [part for title, part in WRITES.items() if title in written]
if st.button("Start", type="primary", disabled=not ready or is_running(), icon=":material/play_arrow:"):
    with st.spinner("Reading the list of pictures …"):
        start_run(files, model, make_work(model, parts, options))
    st.rerun()  # with the button as it is while a run goes on
follow_run()
st.caption(f"Models run on: {engine().device}")
