"""Waiting for the engine: the page says what it waits for, and stops when the visitor has clicked on."""

from __future__ import annotations

from concurrent.futures import wait

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from segviz.engine import Answer, Result, Standing
from segviz.ui.fair_semaphore import LOOK_S


def session_id() -> str | None:
    """The visitor's session, by whose turns the engine answers; None outside of the app."""
    context = get_script_run_ctx()
    return None if context is None else context.session_id


def waited(answer: Answer, title: str) -> Result:
    """The result, with a spinner, the place in the queue and the progress until it is there.

    Raises:
        EngineError: there is no result; the message says what to do.
        ValueError: the model or the question cannot be used, by whatever name the op gives it.
    """
    told = st.empty()  # always there: Streamlit keeps what follows in place by counting what comes before
    try:
        if not answer.done():
            with told.container(key=f"working {title}"), st.spinner(f"Running {title} …"):
                watch(answer)
        return answer.result()
    finally:
        answer.cancel()  # a click ends this script from inside; then nobody waits here any more


def watch(answer: Answer) -> None:
    """Show how a question stands, until it is answered."""
    box, told = None, ""
    while not answer.done():
        wait([answer], LOOK_S)
        text = words(answer.standing())
        if text != told:
            box, told = box or st.empty(), text
            box.caption(text.capitalize())
        give_way()
    if box is not None:
        box.empty()


def give_way() -> None:
    """End this script here where the visitor has clicked on and it is to run anew, or has left."""
    "clicked" in st.session_state  # noqa: B015  # Streamlit looks when the session's state is read


def words(standing: Standing) -> str:
    """Where a question stands, in words; empty where there is nothing to tell."""
    if standing.place:
        return f"number {standing.place} in the queue"
    if standing.done == 0 or standing.total == 1:
        return ""
    left = standing.seconds / standing.done * (standing.total - standing.done)
    return f"step {standing.done} of {standing.total}, about {left:.0f} s left"
