"""The session: which picture is chosen, which points are pinned, and what models made of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.checkpoint import CheckpointError
from segviz.data.scenes import Scene, SceneOptions, draw_scene
from segviz.engine import available_models, engine
from segviz.image import MAX_BYTES, ImageError, decode, fitted
from segviz.models.registry import SPECS
from segviz.predict import Prediction
from segviz.ui.viewer import Panel, Pin, latest_display, latest_pins, show_panels
from segviz.views.text import literal

SCENE, UPLOAD = "Drawn scene", "My picture"
UPLOAD_TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff")
DISPLAY_SIDE = 1280  # uploads are shown, and clicked, at up to this many pixels a side
FIRST_SEED = 3
KNOBS = (
    ("pole_width", "Pole width (m)", 0.04, 0.6, 0.02),
    ("vehicle_size", "Vehicle size", 0.5, 2.0, 0.1),
    ("vehicle_distance", "Vehicle distance (m)", 5.0, 60.0, 1.0),
    ("fence_length", "Fence length (m)", 0.0, 40.0, 1.0),
    ("crowding", "Crowding", 0.0, 1.0, 0.05),
)  # of a scene: its option, the slider's title, range and step


@dataclass(frozen=True, eq=False)
class Picture:
    """What all pages look at. `truth` holds the labels of a drawn scene; uploads have none."""

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    truth: UInt8[np.ndarray, "height width"] | None = None


def sidebar() -> None:
    """The picture's controls and the device, the same on every page."""
    keep_widgets()
    st.session_state.setdefault("source", SCENE)
    with st.sidebar:
        source = st.segmented_control("Picture", (SCENE, UPLOAD), key="source", required=True, width="stretch")
        st.session_state["picture"] = scene_picture() if source == SCENE else uploaded_picture()
        st.caption(f"Models run on: {engine().device}")


def keep_widgets() -> None:
    """Streamlit forgets widgets that a run does not draw; writing them back keeps the picture that was chosen."""
    for key in ("source", "seed", *(row[0] for row in KNOBS)):
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def picture() -> Picture:
    """The picture that the sidebar chose; stops the page while there is none."""
    chosen = st.session_state.get("picture")
    if chosen is None:
        st.info(
            "Upload a picture in the sidebar, or go back to a drawn scene.",
            icon=":material/add_photo_alternate:",
        )
        st.stop()
    return chosen  # type: ignore[no-any-return]


def scene_picture() -> Picture:
    """A drawn scene by the sidebar's knobs."""
    st.session_state.setdefault("seed", FIRST_SEED)
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    right.button("Next", on_click=next_scene, width="stretch", help="Another street")
    seed = left.number_input("Street", 0, 999_999, key="seed", help="Each number is another street")
    with st.expander("Change the street"):
        options = SceneOptions(**{row[0]: knob(*row) for row in KNOBS})
    scene = drawn(int(seed), options)
    return Picture(f"street {seed}", scene.image, scene.labels)


def knob(option: str, title: str, low: float, high: float, step: float) -> float:
    """A slider for one of the scene's options; it starts at the option's default."""
    st.session_state.setdefault(option, getattr(SceneOptions(), option))
    return float(st.slider(title, low, high, step=step, key=option))


def next_scene() -> None:
    """The next street."""
    st.session_state["seed"] = (int(st.session_state["seed"]) + 1) % 1_000_000


@st.cache_resource(max_entries=64, show_spinner=False)
def drawn(seed: int, options: SceneOptions) -> Scene:
    """A scene, drawn once; frozen, so sessions share it."""
    return draw_scene(seed, options)


def uploaded_picture() -> Picture | None:
    """The visitor's own picture, decoded once; None before there is one or when it cannot be read."""
    file = st.file_uploader(
        "Photograph or other picture",
        type=UPLOAD_TYPES,
        max_upload_size=MAX_BYTES // 1024**2,
        key="upload",
        help="PNG, JPEG, WebP, BMP or TIFF, up to 20 MB and 50 megapixels. It stays on this server's memory.",
    )
    kept = st.session_state.get("decoded")
    if file is None:  # the uploader forgets its file while a scene shows; the picture is still here
        return kept[1] if kept is not None and isinstance(kept[1], Picture) else None
    if kept is None or kept[0] != file.file_id:
        try:
            kept = (file.file_id, Picture(file.name, fitted(decode(file.getvalue()), DISPLAY_SIDE)))
        except ImageError as error:
            kept = (file.file_id, f"This file cannot be used: {error}.")
        st.session_state["decoded"] = kept
    if isinstance(kept[1], str):
        st.error(literal(kept[1]), icon=":material/broken_image:")
        return None
    return kept[1]


def pick_model(label: str, names: Sequence[str], default: str, key: str) -> str:
    """A model's name, kept when the page changes."""
    shown = [name for name in names if name in available_models()]
    if not shown:
        st.error("No trained checkpoint of these models is in the checkpoints folder; restore it or train one.")
        st.stop()
    start = st.session_state.get(f"kept {key}", default)
    chosen = st.selectbox(label, shown, shown.index(start) if start in shown else 0, format_func=model_title, key=key)
    st.session_state[f"kept {key}"] = chosen
    return str(chosen)


def model_title(name: str) -> str:
    """A model as the pages name it."""
    return f"{SPECS[name].title} ({name})"


def predict(model: str, chosen: Picture) -> Prediction:
    """What the model made of the picture; stops the page with a sentence if it cannot run."""
    if model not in available_models():
        st.error(f"The trained checkpoint of '{model}' is missing from the checkpoints folder; restore it or train it.")
        st.stop()
    try:
        if engine().knows(model, chosen.image):
            return engine().predict(model, chosen.image)
        with st.spinner(f"Running {SPECS[model].title} …"):
            return engine().predict(model, chosen.image)
    except CheckpointError as error:
        st.error(literal(f"{SPECS[model].title} cannot run: {error}."))
        st.stop()


def pins(key: str) -> tuple[Pin, ...]:
    """The pinned points inside the picture, with the browser's newest edit of the viewer `key` already in."""
    height, width = picture().image.shape[:2]
    kept = latest_pins(key, st.session_state.get("pins", ()))
    return tuple(pin for pin in kept if pin.y < height and pin.x < width)


def show(chosen: Picture, panels: Sequence[Panel], *, key: str, columns: int = 2) -> None:
    """The viewer over the picture; its pins and how the reader has it drawn are kept for every page."""
    display = latest_display(key, st.session_state.get("display"))
    st.session_state["display"] = display
    st.session_state["pins"] = show_panels(chosen.image, panels, pins(key), key=key, columns=columns, display=display)
