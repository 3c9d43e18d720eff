"""The sidebar: which picture all pages look at, drawn or uploaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.data.scenes.scene import Scene, SceneOptions, draw_scene
from segviz.engine import engine
from segviz.engine.capacity import cores
from segviz.image import MAX_BYTES, ImageError, decode, fit_within
from segviz.text import escape_markdown
from segviz.ui.fair_semaphore import Turns
from segviz.ui.permalink import LARGEST_SEED
from segviz.ui.viewer import take_pins
from segviz.ui.wait_for_engine import give_way

SCENE, UPLOAD = "Drawn scene", "My picture"
UPLOAD_TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff")
DISPLAY_SIDE = 1280  # uploads are shown, and clicked, at up to this many pixels a side
FIRST_SEED = 3
TURNS = Turns(max(1, cores() // 2))  # to draw or decode: Python runs on one core, and a scene takes 50 MB for a while
FIRST_STREET = f"street {FIRST_SEED}"
KNOBS = (
    ("pole_width", "Pole width (m)", 0.04, 0.6, 0.02),
    ("vehicle_size", "Vehicle size", 0.5, 2.0, 0.1),
    ("vehicle_distance", "Vehicle distance (m)", 5.0, 60.0, 1.0),
    ("fence_length", "Fence length (m)", 0.0, 40.0, 1.0),
    ("crowding", "Crowding", 0.0, 1.0, 0.05),
)  # of a scene: its option, the slider's title, range and step
NO_PICTURE = "Upload a picture in the sidebar, or go back to a drawn scene."
LINKED_UPLOAD = (
    "This link shows a picture of its sender's own, which a link cannot carry. Upload that picture in the sidebar: "
    "the link's points and settings are then applied to it."
)


@dataclass(frozen=True, eq=False)
class Picture:
    """What all pages look at.

    Attributes:
        name: the street's or the file's.
        image: the picture as it is shown.
        truth: the labels of a drawn scene; uploads have none.
        file_size: the (height, width) of an upload's file, which may be shown smaller.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    truth: UInt8[np.ndarray, "height width"] | None = None
    file_size: tuple[int, int] | None = None


def sidebar() -> None:
    """The picture's controls and the device, the same on every page."""
    keep_widgets()
    st.session_state.setdefault("source", SCENE)
    with st.sidebar:
        source = st.segmented_control("Picture", (SCENE, UPLOAD), key="source", required=True, width="stretch")
        put_pins_aside(str(source))
        st.session_state["picture"] = scene_picture() if source == SCENE else uploaded_picture()
        st.caption(f"Models run on: {engine().device}")


def put_pins_aside(source: str) -> None:
    """Points stay with what they were put on: all streets have the same ones, a visitor's own pictures others."""
    before = st.session_state.get("pins on", source)
    st.session_state["pins on"] = source
    if before != source:
        aside = st.session_state.setdefault("pins aside", {})
        kept = st.session_state.pop("pins", None)
        latest = take_pins(st.session_state.get("page", ""), kept or ())  # with a click that is not taken in yet
        aside[before] = None if kept is None and not latest else latest
        if aside.get(source) is not None:
            st.session_state["pins"] = aside[source]


def keep_widgets() -> None:
    """Streamlit forgets widgets that a run does not draw; writing them back keeps the picture that was chosen."""
    for key in ("source", "seed", *(row[0] for row in KNOBS)):
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def picture() -> Picture:
    """The picture that the sidebar chose; stops the page while there is none."""
    chosen = st.session_state.get("picture")
    if isinstance(chosen, str):  # here rather than in the sidebar, which a phone folds away
        st.error(escape_markdown(chosen), icon=":material/broken_image:")
        st.stop()
    if chosen is None:
        st.info(
            LINKED_UPLOAD if st.session_state.get("linked upload") else NO_PICTURE,
            icon=":material/add_photo_alternate:",
        )
        st.stop()
    return chosen  # type: ignore[no-any-return]


def scene_picture() -> Picture:
    """A drawn scene by the sidebar's knobs."""
    st.session_state.setdefault("seed", FIRST_SEED)
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    right.button("Next", on_click=next_scene, width="stretch", help="Another street")
    seed = left.number_input("Street", 0, LARGEST_SEED, key="seed", help="Each number is another street")
    with st.expander("Change the street"):
        options = SceneOptions(**{row[0]: knob(*row) for row in KNOBS})
    with st.container(key="working street"), st.spinner("Drawing the street …"):
        scene = drawn(int(seed), options)
    return Picture(f"street {seed}", scene.image, scene.labels)


def knob(option: str, title: str, low: float, high: float, step: float) -> float:
    """A slider for one of the scene's options; it starts at the option's default."""
    st.session_state.setdefault(option, getattr(SceneOptions(), option))
    return float(st.slider(title, low, high, step=step, key=option))


def next_scene() -> None:
    """The next street."""
    st.session_state["seed"] = (int(st.session_state["seed"]) + 1) % (LARGEST_SEED + 1)


@st.cache_resource(max_entries=32, show_spinner=False)
def drawn(seed: int, options: SceneOptions) -> Scene:
    """A scene, drawn once; frozen, so sessions share it. A click ends the drawing of what it replaces."""
    with TURNS.turn(give_way):
        return draw_scene(seed, options, between=give_way)


def uploaded_picture() -> Picture | str | None:
    """The visitor's own picture, decoded once, or why it cannot be used; None before there is one."""
    file = st.file_uploader(
        "Photograph or other picture",
        type=UPLOAD_TYPES,
        max_upload_size=MAX_BYTES // 1024**2,
        key="upload",
        help="PNG, JPEG, WebP, BMP or TIFF, up to 20 MB and 50 megapixels. It stays in this server's memory.",
    )
    kept = st.session_state.get("decoded")
    if file is not None and (kept is None or kept[0] != file.file_id):
        try:
            with TURNS.turn(give_way):
                whole = decode(file.getvalue())
            size = (whole.shape[0], whole.shape[1])
            kept = (file.file_id, Picture(file.name, fit_within(whole, DISPLAY_SIDE), file_size=size))
        except ImageError as error:
            kept = (file.file_id, f"This file cannot be used: {error}.")
        st.session_state["decoded"] = kept
    chosen: Picture | str | None = None if kept is None else kept[1]
    if file is None and isinstance(chosen, str):
        return None  # the uploader forgets its file while a scene shows; a picture is kept, a refusal is not
    if isinstance(chosen, Picture) and chosen.file_size and chosen.file_size != chosen.image.shape[:2]:
        (rows, columns), (height, width) = chosen.file_size, chosen.image.shape[:2]
        st.caption(f"Its {columns} x {rows} pixels are shown, and counted, as {width} x {height}.")
    return chosen
