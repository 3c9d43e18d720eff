"""The address of a page: what of a page a link restores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.data.scenes.scene import SceneOptions
from segviz.ui.permalink import Link, read
from segviz.ui.picture_sidebar import KNOBS, SCENE, UPLOAD, Picture, put_pins_aside
from segviz.ui.session import STARTS, keep_display, kept_display
from segviz.viewer.display import Display

MODELS: Mapping[str, tuple[str, bool]] = {
    "inspect": ("kept inspect model", False),
    "attribution": ("kept attribution model", False),
    "compare": ("compare models", True),
}  # by page: the session's key of the models that it shows, and whether that is a list


def link(page: str) -> Link:
    """What is seen of a page, for its address."""
    shown = st.session_state.get(MODELS[page][0], ()) if page in MODELS else ()
    seen = Link(
        models=(shown,) if isinstance(shown, str) else tuple(shown),
        pins=st.session_state.get("pins", ()),
        display=kept_display(page),
    )
    if st.session_state.get("source") == UPLOAD:
        return replace(seen, upload=True)
    knobs = {row[0]: st.session_state[row[0]] for row in KNOBS}
    turned = {name: value for name, value in knobs.items() if value != getattr(SceneOptions(), name)}
    return replace(seen, seed=st.session_state["seed"], knobs=turned)


def restore(page: str) -> None:
    """Takes the address into the session, before the sidebar is drawn, where it is new or the browser went back.

    Otherwise the session counts: a page that is opened from within the app has nothing in its address.
    """
    given = {name: st.query_params.get_all(name) for name in st.query_params}
    opened, known = st.session_state.get("page") != page, st.session_state.get("linked address")
    st.session_state["page"] = page
    if known is not None and (not opened or not given or given == known):
        return
    st.session_state["linked address"] = given
    found, refused = read(given, {row[0]: (row[2], row[3]) for row in KNOBS}, STARTS.get(page, Display()))
    models = [name for name in found.models if name in available_models()]
    if len(models) < len(found.models):
        refused = tuple(sorted({*refused, "model"}))
    st.session_state.update(found.knobs)
    if found.seed is not None:
        st.session_state.update({"seed": found.seed, "source": SCENE})
    if found.upload:
        st.session_state.update({"source": UPLOAD, "linked upload": True})
    if models and page in MODELS:
        key, several = MODELS[page]
        st.session_state[key] = models if several else models[0]
    keep_display(page, found.display)
    if found.pins:
        on = st.session_state.get("source", SCENE)
        put_pins_aside(on)
        st.session_state.update({"pins": found.pins, "linked pins": on})
    st.session_state.update({"linked refused": refused, "linked page": page})


def tell_refused(page: str) -> None:
    """One sentence on what of a link could not be used, on the page that it opened, once its picture is there."""
    chosen, refused = st.session_state.get("picture"), st.session_state["linked refused"]
    if isinstance(chosen, Picture) and st.session_state.get("linked pins") == st.session_state.get("source"):
        st.session_state["linked pins"] = None
        height, width = chosen.image.shape[:2]
        if any(pin.y >= height or pin.x >= width for pin in st.session_state.get("pins", ())) and "pin" not in refused:
            refused = st.session_state["linked refused"] = (*refused, "pin")
    if page != st.session_state["linked page"]:
        st.session_state["linked refused"] = ()
    elif refused:
        sentence = f"Some of this link cannot be used and was left out: {', '.join(refused)}."
        st.warning(sentence, icon=":material/link_off:")
