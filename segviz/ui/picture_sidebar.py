"""The sidebar: which picture all pages look at, drawn or uploaded."""

from __future__ import annotations

import streamlit as st

from segviz.data.scenes import SceneOptions, draw_scene
from segviz.engine import engine
from segviz.engine.capacity import cores
from segviz.image import MAX_BYTES, ImageError, decode, fit_within
from segviz.text import escape_markdown
from segviz.ui.fair_semaphore import Turns
from segviz.ui.permalink import LARGEST_SEED
from segviz.ui.picture import Picture
from segviz.ui.pins import swap_pins
from segviz.ui.state import Upload, session
from segviz.ui.wait_for_engine import give_way
from segviz.ui.widgets import keep_widget

SOURCE, SEED = "source", "seed"  # keys of widgets
SCENE, OWN_PICTURE = "Drawn scene", "My picture"
UPLOAD_TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff")
DISPLAY_SIDE = 1280  # uploads are shown, and clicked, at up to this many pixels a side
FIRST_SEED = 3
FIRST_STREET = f"street {FIRST_SEED}"
TURNS = Turns(max(1, cores() // 2))  # to draw or decode: Python runs on one core, and a scene takes 50 MB for a while
KNOBS = (
    ("pole_width", "Pole width (m)", 0.04, 0.6, 0.02),
    ("vehicle_size", "Vehicle size", 0.5, 2.0, 0.1),
    ("vehicle_distance", "Vehicle distance (m)", 5.0, 60.0, 1.0),
    ("fence_length", "Fence length (m)", 0.0, 40.0, 1.0),
    ("crowding", "Crowding", 0.0, 1.0, 0.05),
)  # the scene's option, which is also the widget's key; the slider's title, range and step
NO_PICTURE = "Upload a picture in the sidebar, or go back to a drawn scene."
LINKED_UPLOAD = (
    "This link shows its sender's own picture, which a link cannot carry. Upload that picture in the sidebar; the "
    "link's points and settings are then applied to it."
)


def show_sidebar() -> None:
    """The picture's controls and the device, the same on every page."""
    with st.sidebar:
        source = st.segmented_control(
            "Picture", (SCENE, OWN_PICTURE), required=True, width="stretch", **keep_widget(SOURCE, SCENE)
        )
        swap_pins(str(source))
        session().picture = street_picture() if source == SCENE else own_picture()
        st.caption(f"Models run on: {engine().device}")


def current_picture() -> Picture:
    """The picture that the sidebar chose; stops the page while there is none."""
    picture = session().picture
    if isinstance(picture, str):  # here rather than in the sidebar, which a phone folds away
        st.error(escape_markdown(picture), icon=":material/broken_image:")
        st.stop()
    if picture is None:
        st.info(LINKED_UPLOAD if session().link.own_picture else NO_PICTURE, icon=":material/add_photo_alternate:")
        st.stop()
    return picture


def street_picture() -> Picture:
    """The drawn street that the sidebar's knobs describe."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    right.button("Next", on_click=go_to_next_street, width="stretch", help="Draw another street")
    seed = left.number_input(
        "Street", 0, LARGEST_SEED, help="Each number is another street", **keep_widget(SEED, FIRST_SEED)
    )
    with st.expander("Change the street"):
        options = SceneOptions(**{row[0]: turn_knob(*row) for row in KNOBS})
    with st.container(key="working street"), st.spinner("Drawing the street …"):
        return draw_street(int(seed), options)


def turn_knob(option: str, title: str, low: float, high: float, step: float) -> float:
    """A slider for one of the scene's options; it starts at the option's default."""
    return float(st.slider(title, low, high, step=step, **keep_widget(option, getattr(SceneOptions(), option))))


def go_to_next_street() -> None:
    """Increase the street's number by one."""
    st.session_state[SEED] = (int(st.session_state[SEED]) + 1) % (LARGEST_SEED + 1)


@st.cache_resource(max_entries=32, show_spinner=False)
def draw_street(seed: int, options: SceneOptions) -> Picture:
    """A scene, drawn once and shared by all sessions. A click ends the drawing of a scene that it replaces."""
    with TURNS.turn(give_way):
        scene = draw_scene(seed, options, between=give_way)
    return Picture(f"street {seed}", scene.image, scene.labels)


def own_picture() -> Picture | str | None:
    """The visitor's own picture, decoded once, or why it cannot be used; None before there is one."""
    file = st.file_uploader(
        "Photograph or other picture",
        type=UPLOAD_TYPES,
        max_upload_size=MAX_BYTES // 1024**2,
        key="upload",
        help="PNG, JPEG, WebP, BMP or TIFF, up to 20 MB and 50 megapixels. It stays in this server's memory.",
    )
    state = session()
    if file is not None and (state.upload is None or state.upload.file_id != file.file_id):
        state.upload = Upload(file.file_id, decode_upload(file.name, file.getvalue()))
    picture = None if state.upload is None else state.upload.result
    if file is None and isinstance(picture, str):
        return None  # the uploader forgets its file while a scene shows; a picture is kept, a refusal is not
    if isinstance(picture, Picture) and picture.file_size and picture.file_size != picture.size:
        (rows, columns), (height, width) = picture.file_size, picture.size
        st.caption(f"Its {columns} x {rows} pixels are shown, and counted, as {width} x {height}.")
    return picture


def decode_upload(name: str, data: bytes) -> Picture | str:
    """A picture from a file's bytes, or a sentence on why it cannot be used."""
    try:
        with TURNS.turn(give_way):
            whole = decode(data)
        return Picture(name, fit_within(whole, DISPLAY_SIDE), file_size=(whole.shape[0], whole.shape[1]))
    except ImageError as error:
        return f"This file cannot be used: {error}."
