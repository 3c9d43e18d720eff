"""Many pictures: one model over many files or a ZIP of them, which ends in a ZIP."""

import streamlit as st

from segviz.batch.attention_files import AttentionOptions
from segviz.batch.run import Part
from segviz.catalogue.bundled import available_models
from segviz.engine import engine
from segviz.figures.export import FORMS
from segviz.ui.batch import UPLOAD_HELP, begin, follow, running, work_of
from segviz.ui.models import pick_model
from segviz.ui.picture_sidebar import UPLOAD_TYPES
from segviz.viewer.display import Display

LARGEST_UPLOAD = 200  # MB of a ZIP
MAPS = "Attention maps"
WRITES: dict[str, Part] = {"Labels": "labels", "Overlay": "overlay", "Confidence": "confidence"}
INSIDE, AT = "Inside the largest class", "At a pixel"

st.title("Many pictures")
st.caption("One model over many pictures. What is made of them comes as one ZIP, with a summary of each.")
files = st.file_uploader(
    "Pictures, or a ZIP of them",
    (*UPLOAD_TYPES, "zip"),
    accept_multiple_files=True,
    max_upload_size=LARGEST_UPLOAD,
    key="folder files",
    help=UPLOAD_HELP,
)
left, right = st.columns([1, 2], vertical_alignment="bottom")
with left:
    model = pick_model("Model", available_models(), "fla", "folder model")
written = right.pills(
    "Write",
    (*WRITES, MAPS),
    selection_mode="multi",
    default=("Labels", "Overlay"),
    key="folder parts",
    persist_state="session",
)


def maps() -> AttentionOptions:
    """Which maps to draw; scale and colours are those that the viewer is set to."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    where = left.segmented_control("Looked at from", (INSIDE, AT), default=INSIDE, required=True, key="folder from")
    forms = right.pills(
        "Maps as", FORMS, selection_mode="multi", default=("png", "npz"), format_func=str.upper, key="folder forms"
    )
    places: tuple[tuple[int, int], ...] = ()
    if where == AT:
        y = int(left.number_input("y, from the top", 0, 100_000, 100, key="folder y"))
        x = int(right.number_input("x, from the left", 0, 100_000, 100, key="folder x"))
        places = ((y, x),)
    display = st.session_state.get("display", Display())
    return AttentionOptions(
        places, kind=display.scale, one_scale=display.range == "shared", colours=display.colours, forms=tuple(forms)
    )


options = maps() if MAPS in written else None
ready = bool(files) and bool(written) and (options is None or bool(options.forms))
parts = [part for title, part in WRITES.items() if title in written]
if st.button("Start", type="primary", disabled=not ready or running(), icon=":material/play_arrow:"):
    with st.spinner("Reading the list of pictures …"):
        begin(files, model, work_of(model, parts, options))
    st.rerun()  # with the button as it is while a run goes on
follow()
st.caption(f"Models run on: {engine().device}")
