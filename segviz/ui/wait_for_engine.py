"""Waiting for the engine: the page says what it waits for, and stops when the visitor clicks on."""

from __future__ import annotations

from concurrent.futures import wait

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from segviz.engine import Answer, Result, Status
from segviz.ui.fair_semaphore import LOOK_S


def session_id() -> str | None:
    """The id of the visitor's session, by which the engine shares its time; None outside of the app."""
    context = get_script_run_ctx()
    return None if context is None else context.session_id


def wait_for(answer: Answer, title: str) -> Result:
    """The result; until it is there, a spinner with the place in the queue or the progress.

    Raises:
        EngineError: there is no result; the message says what to do.
        ValueError: the model or the question cannot be used, by whatever name the op gives it.
    """
    place = st.empty()  # always there: Streamlit keeps what follows in place by counting what comes before
    try:
        if not answer.done():
            with place.container(key=f"working {title}"), st.spinner(f"Running {title} …"):
                show_status(answer)
        return answer.result()
    finally:
        answer.cancel()  # a click ends this script here; then nobody waits for the answer any more


def show_status(answer: Answer) -> None:
    """Say where a question is in the queue and how far it has come, until it is answered."""
    caption, shown = None, ""
    while not answer.done():
        wait([answer], LOOK_S)
        text = describe_status(answer.status())
        if text != shown:
            caption, shown = caption or st.empty(), text
            caption.caption(text.capitalize())
        give_way()
    if caption is not None:
        caption.empty()


def give_way() -> None:
    """End this script here if the visitor has left, or has clicked on so that it must run anew."""
    "clicked" in st.session_state  # noqa: B015  # Streamlit looks when the session's state is read


def describe_status(status: Status, with_time: bool = True) -> str:
    """A question's place or progress, in words; empty where there is nothing to say.

    Args:
        status: the question's.
        with_time: whether to tell the time that is left.
    """
    if status.position:
        return f"number {status.position} in the queue"
    if status.replicas == 0:
        return "failed once; waiting for a replica" if status.attempt > 1 else "waiting for a replica to start"
    if status.attempt > 1:
        return "failed once; running again"
    if status.done == 0 or status.total == 1:
        return ""
    step = f"step {status.done} of {status.total}"
    left = status.seconds / status.done * (status.total - status.done)
    return f"{step}, about {left:.0f} s left" if with_time else step
