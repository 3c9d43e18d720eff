"""Picking a model, and running it on the picture."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakValueDictionary

import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine import BusyError, EngineError, Result, engine
from segviz.models.registry import SPECS
from segviz.prediction.prediction import Prediction
from segviz.text import escape_markdown
from segviz.ui.picture_sidebar import Picture
from segviz.ui.wait_for_engine import session_id, waited


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
        st.error(escape_markdown(f"{title} cannot run: {error}."))
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


def model_of(made: object) -> str:
    """The name of the model that made a map of this session; "" of what no model made, such as a truth."""
    for name, prediction in st.session_state.get("predictions", {}).items():
        if prediction.has(made):
            return str(name)
    return ""
