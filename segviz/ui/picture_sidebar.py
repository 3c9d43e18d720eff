"""The sidebar: which picture all pages look at, drawn or uploaded."""

from __future__ import annotations

import streamlit as st

from segviz.data.scenes import SceneOptions
from segviz.engine import engine
from segviz.image import working_size
from segviz.text import escape_markdown
from segviz.ui.draw_street import draw_street
from segviz.ui.drop_target import take_drops
from segviz.ui.linked_picture import tell_other_picture
from segviz.ui.own_picture import caveat_of, own_picture, show_drop_zone
from segviz.ui.permalink import LARGEST_SEED
from segviz.ui.picture import Picture
from segviz.ui.pins import swap_pins
from segviz.ui.state import session
from segviz.ui.widgets import keep_widget

SOURCE, SEED = "source", "seed"  # keys of widgets
DRAWN, OWN_PICTURE = "Drawn scene", "My picture"
SEEN_SIZE, TRAINED_SIZE, OWN_SEEN_SIZE = "seen size", "trained", "own"  # a widget's key, and its values
FIRST_SEED = 3
KNOBS = (
    ("pole_width", "Pole width (m)", 0.04, 0.6, 0.02),
    ("vehicle_size", "Vehicle size", 0.5, 2.0, 0.1),
    ("vehicle_distance", "Vehicle distance (m)", 5.0, 60.0, 1.0),
    ("fence_length", "Fence length (m)", 0.0, 40.0, 1.0),
    ("crowding", "Crowding", 0.0, 1.0, 0.05),
)  # the scene's option, which is also the widget's key; the slider's title, range and step


def show_sidebar() -> None:
    """The picture's controls and the device, the same on every page."""
    with st.sidebar:
        source = st.segmented_control(
            "Picture", (DRAWN, OWN_PICTURE), required=True, width="stretch", **keep_widget(SOURCE, DRAWN)
        )
        swap_pins(str(source))
        session().picture = street_picture() if source == DRAWN else choose_seen_size(own_picture())
        st.caption(f"Models run on: {engine().device}")
    take_drops(SOURCE, OWN_PICTURE)


def choose_seen_size(picture: Picture | str | None) -> Picture | str | None:
    """The visitor's picture, seen by models as the visitor chooses, where its size is not that of training."""
    if not isinstance(picture, Picture):
        return picture
    trained, own = working_size(*picture.size), working_size(*picture.size, wanted="own")
    if trained == own:
        return picture
    titles = {
        TRAINED_SIZE: f"{trained[1]} x {trained[0]}, the size of training",
        OWN_SEEN_SIZE: f"{own[1]} x {own[0]}, its own size",
    }
    help_ = (
        "The bundled models were trained at about 480 x 360. At its own size, at most 2048 x 1024, a picture has more "
        "cells, objects look larger than in training, and answers take longer. Attribution and Many pictures keep the "
        "size of training. Networks of your own see a picture's own size anyway."
    )
    kept = keep_widget(SEEN_SIZE, TRAINED_SIZE, titles)
    chosen = st.selectbox("Models see it at", titles, format_func=titles.__getitem__, help=help_, **kept)
    return picture.at_own_size if chosen == OWN_SEEN_SIZE else picture


def current_picture() -> Picture:
    """The picture that the sidebar chose; stops the page while there is none, and says what to know of it."""
    picture = session().picture
    if isinstance(picture, str):  # here rather than in the sidebar, which a phone folds away
        st.error(escape_markdown(picture), icon=":material/broken_image:")
    if not isinstance(picture, Picture):
        show_drop_zone()
        st.stop()
    tell_other_picture(picture)
    if picture.truth is None and (words := caveat_of(picture)):
        st.info(words, icon=":material/crop:")
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
