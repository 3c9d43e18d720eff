"""The session: which points are pinned, how maps are drawn, what models made of the picture, and its link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

import streamlit as st

from segviz.checkpoint import CheckpointError
from segviz.data.scenes import SceneOptions
from segviz.engine import BusyError, EngineError, Result, available_models, engine
from segviz.models.registry import SPECS
from segviz.predict import Prediction
from segviz.ui.display import Display
from segviz.ui.panel import Panel, Pin
from segviz.ui.permalink import Link, copy_button, read
from segviz.ui.picture import KNOBS, SCENE, UPLOAD, Picture, picture, put_pins_aside
from segviz.ui.shown import Viewer
from segviz.ui.take_away import take_away
from segviz.ui.viewer import latest_display, latest_pins, show_panels
from segviz.ui.waiting import session_id, waited
from segviz.views import sheet
from segviz.views.text import literal

MODELS: Mapping[str, tuple[str, bool]] = {
    "inspect": ("kept inspect model", False),
    "attribution": ("kept attribution model", False),
    "compare": ("compare models", True),
}  # by page: the session's key of the models that it shows, and whether that is a list
STARTS: Mapping[str, Display] = {
    "blocks": Display(range="shared", scale="log"),
}  # pages whose maps begin on a range and a scale of their own, and keep them to themselves


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


def predict(model: str, chosen: Picture, number: str = "") -> Prediction:
    """What the model made of the picture; stops the page with a sentence if it cannot run.

    `number`, such as "2 of 4", is told while it runs.
    """
    if model not in available_models():
        st.error(f"The trained checkpoint of '{model}' is missing from the checkpoints folder; restore it or train it.")
        st.stop()
    title, told = SPECS[model].title, f" ({number})" if number else ""
    try:
        result = waited(engine().ask(model, chosen.image, session=session_id()), title + told)
    except BusyError as error:
        st.warning(f"The server is busy: {error}.", icon=":material/hourglass_top:")
        st.button("Try again", key=f"again {model}")
        st.stop()
    except (CheckpointError, EngineError) as error:
        st.error(literal(f"{title} cannot run: {error}."))
        st.stop()
    tell_notes(model, result)
    prediction: Prediction = result.value
    known = st.session_state.setdefault("predictions", WeakValueDictionary())  # the engine's cache decides what is kept
    known[model] = prediction
    return prediction


def tell_notes(model: str, result: Result) -> None:
    """What the engine has to say of a result: a smaller scale, or values that are not finite."""
    for note in result.notes:
        st.warning(f"{SPECS[model].title}: {note}.", icon=":material/warning:")


def pins(key: str, start: Sequence[Pin] = ()) -> tuple[Pin, ...]:
    """The pinned points inside the picture, with the browser's newest edit of the viewer `key` already in.

    `start` are those of a visitor who has not pinned anything yet.
    """
    height, width = picture().image.shape[:2]
    kept = latest_pins(key, st.session_state.get("pins", start))
    return tuple(pin for pin in kept if pin.y < height and pin.x < width)


def show(
    chosen: Picture,
    panels: Sequence[Panel],
    *,
    key: str,
    columns: int = 2,
    start: Sequence[Pin] = (),
    more: Sequence[sheet.Panel] = (),
) -> None:
    """The viewer over the picture; above it, what copies the page's link and what takes it away as a file.

    Its pins and how the reader has it drawn are kept for every page.

    Args:
        chosen: the picture.
        panels: what to show of it.
        key: the page's name in the address.
        columns: how many panels lie side by side where there is room.
        start: the pins of a visitor who has none yet; they become the visitor's own with the first edit.
        more: what the page shows beside the viewer, for its files.
    """
    above = st.container(horizontal=True, horizontal_alignment="right")
    display = display_of(key)
    keep_display(key, display)
    given = pins(key, start)
    now = show_panels(chosen.image, panels, given, key=key, columns=columns, display=display)
    if "pins" in st.session_state or now != tuple(start):
        st.session_state["pins"] = now
    with above:
        copy_button(link(key), key, STARTS.get(key, Display()))
        take_away(key, chosen.name, Viewer(chosen.image, now, display, columns, model_of), panels, more)


def model_of(made: object) -> str:
    """The name of the model that made a map of this session; "" of what no model made, such as a truth."""
    for name, prediction in st.session_state.get("predictions", {}).items():
        if prediction.has(made):
            return str(name)
    return ""


def kept_display(page: str) -> Display:
    """How the reader has pages drawn; a page of STARTS has its own range and scale."""
    kept: Display = st.session_state.get("display", Display())
    if page not in STARTS:
        return kept
    own = st.session_state.get(f"kept {page} display", STARTS[page])
    return replace(kept, range=own.range, scale=own.scale)


def display_of(page: str) -> Display:
    """How the reader has a page drawn, with the newest settings that the browser told of its viewer."""
    return latest_display(page, kept_display(page))


def keep_display(page: str, display: Display) -> None:
    """Remembers it for `kept_display`."""
    if page in STARTS:
        st.session_state[f"kept {page} display"] = display
        others = st.session_state.get("display", Display())
        display = replace(display, range=others.range, scale=others.scale)
    st.session_state["display"] = display


# ---- permalinks -----------------------------------------------------------------------------------------


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
