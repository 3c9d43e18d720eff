"""Many pictures: one model over many files, or a ZIP of them; the results come as one ZIP."""

import streamlit as st

from segviz.batch.attention_files import AttentionOptions
from segviz.catalogue.own_models import own_models
from segviz.engine import engine
from segviz.figures.export import FORMS
from segviz.text import escape_markdown
from segviz.ui.batch import (
    LARGEST_UPLOAD,
    UPLOAD_HELP,
    UPLOAD_LABEL,
    WRITES,
    find_no_pictures,
    follow_run,
    is_running,
    run_stage,
    start_run,
)
from segviz.ui.lacks_classes import lacks_classes
from segviz.ui.lead_to import lead_to
from segviz.ui.lost_files import tell_lost_files
from segviz.ui.models import model_title, offered_models, pick_model, short_title
from segviz.ui.own_picture import ANY_NAME
from segviz.ui.page_address import copy_page_link
from segviz.ui.page_table import ROWS
from segviz.ui.run_words import RunRequest, no_picture_sentence
from segviz.ui.state import session
from segviz.ui.widgets import KeptWidget, keep_widget

PAGE = "many_pictures"
MAPS = "Attention maps"
INSIDE, AT = "Inside the largest class", "At a pixel"
PIXELS = range(100_001)

heading = st.container(key="heading", horizontal=True, vertical_alignment="center")
heading.title("Many pictures")
st.caption("One model over many pictures. The results come as one ZIP, with a summary of each picture.")
lost = st.container()
files = st.file_uploader(
    UPLOAD_LABEL,
    ANY_NAME,
    accept_multiple_files=True,
    max_upload_size=LARGEST_UPLOAD,
    key="many_pictures files",
    help=UPLOAD_HELP,
)
with lost:
    tell_lost_files(PAGE, [file.name for file in files or ()], *run_stage())
left, right = st.columns([1, 2], vertical_alignment="top")
with left:
    model = pick_model("Model", offered_models(), "fla", ROWS[PAGE].models_key)
offered = (*WRITES, MAPS) if model not in own_models() else tuple(WRITES)
written = right.pills(
    "Write",
    offered,
    selection_mode="multi",
    **keep_widget("many_pictures parts", ["Labels", "Overlay"], offered, linked=(*WRITES, MAPS)),
)
if MAPS not in offered:
    st.caption(
        "`python -m segviz attend FOLDER --model ... --layers ... --out DIR` writes the maps of your own network for "
        "many files; in Python, `segviz.load(...)(picture).save(...)` writes those of one."
    )


def pick_maps() -> AttentionOptions:
    """The maps to draw; scale and colours are those that the viewer is set to."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    where = left.segmented_control(
        "Point", (INSIDE, AT), required=True, **keep_widget("many_pictures point", INSIDE, linked=(INSIDE, AT))
    )
    forms = right.pills(
        "Maps as",
        FORMS,
        selection_mode="multi",
        format_func=str.upper,
        **keep_widget("many_pictures forms", ["png", "npz"], linked=FORMS),
    )
    places: tuple[tuple[int, int], ...] = ()
    if where == AT:
        y = int(left.number_input("y, from the top", 0, PIXELS[-1], **keep_pixel("y")))
        x = int(right.number_input("x, from the left", 0, PIXELS[-1], **keep_pixel("x")))
        places = ((y, x),)
    display = session().display
    kind = display.scale_kind()
    return AttentionOptions(
        places, kind=kind, one_scale=display.range == "shared", colours=display.colours, forms=tuple(forms)
    )


def keep_pixel(axis: str) -> KeptWidget:
    """The arguments of the choice of a pixel's row or column."""
    return keep_widget(f"many_pictures {axis}", 100, linked=PIXELS)


options = pick_maps() if MAPS in written else None
with heading:
    copy_page_link(PAGE)
parts = tuple(title for title in offered if title in written)
request = RunRequest(model, model_title(model), tuple((one.file_id, one.name) for one in files), parts, options)
ready = bool(files) and bool(written) and (options is None or bool(options.forms)) and not is_running()
if not is_running() and lacks_classes(model):
    title = escape_markdown(short_title(model))
    st.info(f"{title} has no classes for pixels, so there is nothing to write. Choose a model that labels pixels.")
    lead_to("inspect", f"The maps of {title}")
    ready = False
if no_pictures := find_no_pictures(files):
    st.warning(no_picture_sentence(no_pictures))
    ready = ready and len(no_pictures) < len(files)
if st.button("Start", type="primary", disabled=not ready, icon=":material/play_arrow:"):
    with st.spinner("Reading the list of pictures …"):
        start_run(files, request)
    st.rerun()  # with the button as it is while a run goes on
follow_run(request)
st.caption(f"Models run on: {engine().device}")
