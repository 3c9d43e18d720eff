"""Picking a model, and running it on the picture."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.own_models import own_models
from segviz.engine import BusyError, EngineError, Result, engine
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.text import escape_markdown
from segviz.ui.own_record import network_title, own_record
from segviz.ui.page_table import PageRow
from segviz.ui.picture import Picture
from segviz.ui.wait_for_engine import session_id, wait_for
from segviz.ui.widgets import keep_widget


def offered_models() -> tuple[str, ...]:
    """The names of the models that pages offer: networks of one's own first, then the bundled ones."""
    return (*own_models(), *available_models())


def pick_model(label: str, names: Sequence[str], default: str, key: str) -> str:
    """The name of the model that the reader picks; stops the page if no checkpoint is there.

    A page begins with the first network of one's own that it offers, else with `default`.
    """
    offered = [name for name in names if name in available_models() or name in own_models()]
    if not offered:
        st.error("None of these models has a checkpoint in the checkpoints folder; restore one or train it.")
        st.stop()
    own = [name for name in own_models() if name in offered]
    start = (own or [default if default in offered else offered[0]])[0]
    return str(st.selectbox(label, offered, format_func=model_title, **keep_widget(key, start, offered)))


def models_of(row: PageRow) -> tuple[str, ...]:
    """The models that the page shows, where it has a choice."""
    models = st.session_state.get(row.models_key, ()) if row.models_key else ()
    return (models,) if isinstance(models, str) else tuple(models)


def model_title(name: str) -> str:
    """A model as lists of choice name it; a segviz checkpoint without a title by its network."""
    title = short_title(name)
    if title == name and (record := own_record(name)) is not None:
        title = network_title(record.model)
    return name if title == name else f"{title} ({name})"


def short_title(name: str) -> str:
    """A model as texts name it: a bundled one's title, or that of its entry in the catalogue."""
    own = own_models()
    return own[name].title if name in own else MODELS[name].title


def predict_or_stop(model: str, picture: Picture, count: str = "") -> Prediction:
    """The model's prediction for the picture; stops the page with a sentence if the model cannot run.

    Args:
        model: its name.
        picture: what it sees.
        count: which of several models it is, as "2 of 4"; shown while it runs.
    """
    if model not in available_models():
        st.error(f"The checkpoint of '{model}' is missing from the checkpoints folder; restore it or train it.")
        st.stop()
    title = MODELS[model].title
    try:
        answer = engine().ask(model, picture, session=session_id())
        result = wait_for(answer, f"{title} ({count})" if count else title)
    except BusyError as error:
        st.warning(f"The server is busy: {error}.", icon=":material/hourglass_top:")
        st.button("Try again", key=f"again {model}")
        st.stop()
    except (CheckpointError, EngineError) as error:
        st.error(escape_markdown(f"{title} cannot run: {error}."))
        st.stop()
    show_notes(model, result)
    prediction: Prediction = result.value
    return prediction


def show_notes(model: str, result: Result) -> None:
    """The engine's notes on a result: that it ran at a smaller scale, or has values that are not finite."""
    for note in result.notes:
        st.warning(escape_markdown(f"{short_title(model)}: {note}."), icon=":material/warning:")
