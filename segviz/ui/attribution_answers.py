"""What the Attribution page asks the engine: it starts, follows and cancels the computations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.attention.grid_map import Grid
from segviz.attribution import METHODS, Attribution
from segviz.engine import Answer, Attribute, LeaseError, SupersededError, engine
from segviz.engine.request import parameter_key
from segviz.text import escape_markdown
from segviz.ui.picture import Picture
from segviz.ui.state import session
from segviz.ui.wait_for_engine import describe_status, session_id

LOOK_EVERY = 0.7  # seconds between looks at answers
LEASE_S = 20.0  # after so many seconds without a look, the visitor is taken to have left
GRADIENT_GUESS_S, FORWARD_GUESS_S = 0.5, 0.2  # for an evaluation with gradients, and without: two CPU cores
MEASURED: dict[tuple[str, str], float] = {}  # the same by model and method, as last measured, for all visitors
BUTTON = 128  # pixels: "Compute" and "Cancel" are equally wide
QUESTION_PARTS = ("method", "model", "picture", "point", "score", "settings")  # what two questions differ in first
LOST = (SupersededError, LeaseError)  # ends that the visitor did not ask for


@dataclass(frozen=True, eq=False)
class Questions:
    """What the page asks about one model and picture.

    Attributes:
        model: its name.
        picture: what the model sees.
        ops: the computations, by method.
        seen: the (height, width) at which the model sees what is explained.
    """

    model: str
    picture: Picture
    ops: Mapping[str, Attribute]
    seen: Grid

    @cached_property
    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """What distinguishes a method's question from the session's other questions, as `QUESTION_PARTS`."""
        return {
            name: (
                name, self.model, self.picture.digest,
                parameter_key(op.target.pixel), parameter_key(op.target), parameter_key(op),
            )
            for name, op in self.ops.items()
        }  # fmt: skip

    def evaluations(self, name: str) -> int:
        """How many pictures the model has to see."""
        return METHODS[name].evaluations(self.ops[name].options, self.seen)

    def seconds(self, name: str) -> float:
        """How long it takes at this machine's pace."""
        return seconds_each(self.model, name) * self.evaluations(name)

    def is_quick(self, name: str) -> bool:
        """Whether it takes only a moment, or is known already."""
        return self.evaluations(name) == 1 or engine().is_cached(self.model, self.picture, self.ops[name])


def seconds_each(model: str, name: str) -> float:
    """Seconds for an evaluation: as the last one of its kind took, else a guess at the pace of what was measured.

    The page's quick methods are measured before a long one is offered.
    """
    if (model, name) in MEASURED:
        return MEASURED[model, name]
    paces = {key: each / first_guess(key[1]) for key, each in MEASURED.copy().items()}
    own = [pace for (of, _), pace in paces.items() if of == model]
    return first_guess(name) * (median(own or paces.values()) if paces else 1)


def first_guess(name: str) -> float:
    """Seconds for a method's evaluation on two CPU cores."""
    return GRADIENT_GUESS_S if METHODS[name].needs_gradients else FORWARD_GUESS_S


def collect_answers(questions: Questions, row: DeltaGenerator, messages: DeltaGenerator) -> dict[str, Attribution]:
    """The attributions that are there, by method; starts the quick ones, and the others when the visitor asks.

    Args:
        questions: what is asked.
        row: gets the button that starts or cancels, and how long it takes or how far it is.
        messages: gets why methods failed, and notes on answers.
    """
    asked = ask(questions, [name for name in questions.ops if questions.is_quick(name)])
    pending = {name: answer for name, answer in asked.items() if not answer.done()}
    failed = {name: error for name, answer in asked.items() if (error := error_of(answer)) is not None}
    results = {name: asked[name].result() for name in asked if name not in {*pending, *failed}}
    for name, result in results.items():
        MEASURED[questions.model, name] = result.seconds / questions.evaluations(name)
    with row.container(key="compute"):  # as high in all of its states, by page.css, so that the pictures below stay
        if pending:
            show_pending(questions, pending, why_any_stopped(questions))
        else:
            offer_missing(questions, [name for name in questions.ops if name not in results], failed)
    with messages:
        if not pending:
            show_failures(failed)
        for name, result in results.items():
            for note in result.notes:
                st.warning(f"{METHODS[name].title}: {note}.", icon=":material/warning:")
    return {name: result.value for name, result in results.items()}


def is_computing() -> bool:
    """Whether answers that the visitor waits for are still to come."""
    return any(not answer.done() for answer in session().attributions.values())


def ask(
    questions: Questions, wanted: Collection[str], retried: tuple[type[BaseException], ...] = LOST
) -> dict[str, Answer]:
    """The session's answers to these questions, by method; cancels those to questions that are not asked any more.

    Args:
        questions: what is asked now.
        wanted: methods to start if they have not been started.
        retried: answers that ended with these errors are asked for again.
    """
    state = session()
    before = state.attributions
    now = {key: before[key] for key in questions.keys.values() if key in before}
    new = [
        name
        for name, key in questions.keys.items()
        if (isinstance(error_of(now[key]), retried) if key in now else name in wanted)
    ]
    if new:  # with all that is under way: alone, it would take the place of what the session has in the queue
        names = [name for name, key in questions.keys.items() if name in new or (key in now and not now[key].done())]
        ops = [questions.ops[name] for name in names]
        answers = engine().ask_all(questions.model, questions.picture, ops, session_id(), LEASE_S)
        now.update(zip([questions.keys[name] for name in names], answers, strict=True))
    for key, answer in before.items():
        if answer not in now.values():
            if not answer.done() and key[0] in questions.keys:
                state.attributions_stopped[key[0]] = key
            answer.cancel()
    for key in now:
        state.attributions_stopped.pop(key[0], None)
    state.attributions = now
    return {name: now[key] for name, key in questions.keys.items() if key in now}


def why_stopped(questions: Questions, name: str) -> str:
    """What has changed since a method was computed and was stopped, such as "point"; "" where it was not stopped."""
    before, now = session().attributions_stopped.get(name), questions.keys[name]
    if before is None:
        return ""
    return next((what for what, one, other in zip(QUESTION_PARTS, before, now, strict=True) if one != other), "")


def why_any_stopped(questions: Questions) -> str:
    """What has changed since methods were stopped, such as "the point"; "" where none was."""
    return " and ".join(dict.fromkeys(f"the {why}" for name in questions.ops if (why := why_stopped(questions, name))))


def compute(questions: Questions, missing: Collection[str]) -> None:
    """Start what is missing, also where it ended without a result before."""
    ask(questions, missing, retried=(BaseException,))


def error_of(answer: Answer) -> BaseException | None:
    """Why an answer ended without a result; None where it has one, or may still get one."""
    try:
        return answer.exception() if answer.done() else None
    except CancelledError as error:
        return error


@st.fragment(run_every=LOOK_EVERY)
def show_pending(questions: Questions, pending: Mapping[str, Answer], changed: str) -> None:
    """Progress and the button to cancel; runs the page again when an answer has come.

    Args:
        questions: what is asked.
        pending: the answers that are to come.
        changed: what has changed, where other work was stopped by it; else "".
    """
    statuses = {name: answer.status() for name, answer in pending.items()}  # of all: it renews their leases
    if any(answer.done() for answer in pending.values()):
        st.rerun()
    for name, status in statuses.items():
        if status.done:
            MEASURED[questions.model, name] = status.seconds / status.done
    left_s = sum(questions.seconds(name) * (1 - status.done / status.total) for name, status in statuses.items())
    name, first = min(statuses.items(), key=lambda item: item[1].position)
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.button(
            "Cancel", icon=":material/close:", key="attribution cancel", on_click=cancel, args=(pending,), width=BUTTON
        )
        stopped = f"; the others were stopped, as {changed} changed" if changed else ""
        st.caption(f"Computing, about {max(1, round(left_s))} s left in all{stopped}.")
    text = describe_status(first, with_time=False) or "computing …"  # the time of all methods is told above
    st.progress(first.done / first.total, f"{METHODS[name].title}: {text}")


def cancel(pending: Mapping[str, Answer]) -> None:
    """Cancel the questions."""
    for answer in pending.values():
        answer.cancel()


def offer_missing(questions: Questions, missing: Collection[str], failed: Mapping[str, BaseException]) -> None:
    """The button that starts what is missing, and how long that takes or why it failed."""
    text = "All chosen methods are computed."
    if missing:
        names = ", ".join(METHODS[name].title for name in missing)
        seconds = max(1, round(sum(map(questions.seconds, missing))))
        cancelled = "Cancelled. " * any(isinstance(error, CancelledError) for error in failed.values())
        changed = why_any_stopped(questions)
        stopped = f"Stopped, as {changed} changed: press Compute to begin anew. " if changed else ""
        text = f"{stopped}{cancelled}About {seconds} s on {engine().device}: {names}."
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.button(
            "Compute", icon=":material/play_arrow:", key="attribution compute", type="primary", disabled=not missing,
            on_click=compute, args=(questions, missing), width=BUTTON,
        )  # fmt: skip
        st.caption(text)


def show_failures(failed: Mapping[str, BaseException]) -> None:
    """Why methods have no result; one that the visitor cancelled needs no reason."""
    for name, error in failed.items():
        if not isinstance(error, CancelledError):
            st.error(escape_markdown(f"{METHODS[name].title}: {error}."), icon=":material/error:")
