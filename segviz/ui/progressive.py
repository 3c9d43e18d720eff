"""A page of many models: it is usable at once and fills in as one model after the other has run; it can be stopped."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine import EngineError, engine
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.ui.models import show_notes
from segviz.ui.picture import Picture
from segviz.ui.state import ModelProgress, session
from segviz.ui.wait_for_engine import session_id, wait_for


def ready_predictions(names: Sequence[str], picture: Picture, page: str) -> dict[str, Prediction]:
    """The predictions that are there, below a line on how far the models are.

    Stops the page with their messages if none of the models can run.
    """
    progress = model_progress(picture, page)
    cached = [name for name in names if engine().is_cached(name, picture)]
    results = {name: engine().ask(name, picture).result() for name in cached}
    predictions: dict[str, Prediction] = {name: result.value for name, result in results.items()}
    for name, result in results.items():
        show_notes(name, result)
    left = [name for name in names if name not in predictions and name not in progress.failed]
    if progress.failed:
        st.error("\n\n".join(progress.failed.values()))
        if not predictions and not left:
            st.stop()
    if left:
        show_progress(names, predictions, left, progress, page)
    return predictions


def show_progress(
    names: Sequence[str], done: Collection[str], left: Sequence[str], progress: ModelProgress, page: str
) -> None:
    """How many models have run, which one is running, and the button to stop or to go on."""
    text, share = f"{len(done)} of {len(names)} models have run", len(done) / len(names)
    following = next((name for name in left if name not in progress.ran), None)
    running = following is not None and not progress.stopped
    with st.container(horizontal=True, vertical_alignment="center", key=f"working {page} filling"):
        st.progress(share, text)  # the box below says which one is running
        if running:
            st.button("Stop", on_click=progress.stop, key=f"{page} stop")
        else:
            st.button("Run the rest", on_click=progress.resume, key=f"{page} resume")


def run_next_model(names: Sequence[str], picture: Picture, page: str) -> None:
    """Run the next model and then the page again; returns when none is left, or when the reader stopped it.

    Call it last on the page: what is above can be used meanwhile.
    """
    progress = model_progress(picture, page)
    if progress.stopped:
        return
    for name in names:
        if name in progress.ran or name in progress.failed or engine().is_cached(name, picture):
            continue
        progress.ran.add(name)
        try:
            wait_for(engine().ask(name, picture, session=session_id()), MODELS[name].title)
        except (CheckpointError, EngineError) as error:
            progress.failed[name] = f"{MODELS[name].title} cannot run: {error}."
        st.rerun()


def model_progress(picture: Picture, page: str) -> ModelProgress:
    """How far this session's page is with the picture; another picture starts anew."""
    pages = session().progress
    if page not in pages or pages[page].picture_digest != picture.seen_digest:
        pages[page] = ModelProgress(picture.seen_digest)
    return pages[page]
