"""The Attribution page's controls: what to explain, by which methods, and what the engine is asked for it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.attribution import METHODS, Attribution, Options, Target
from segviz.engine import Answer, Attribute, LeaseError, SupersededError, digest, engine
from segviz.engine.request import parameter_key
from segviz.image import working_size
from segviz.prediction.prediction import Prediction
from segviz.text import escape_markdown
from segviz.ui.wait_for_engine import session_id, words

ASKED = "attribution answers"
LOOK_EVERY = 0.7  # seconds between looks at answers
LEASE_S = 20.0  # without a look for so long, a visitor is taken to have gone
FIRST_GUESS = {True: 0.5, False: 0.2}  # seconds for an evaluation with gradients, and without: two CPU cores
MEASURED: dict[tuple[str, str], float] = {}  # the same by model and method, as last measured, for all visitors
LOST = (SupersededError, LeaseError)  # ends that are not the visitor's wish
POINT, CLASS, PICTURE = "Point", "Class region", "Whole picture"
AS_PREDICTED = -1
START = ("grad_cam_output", "saliency")  # one evaluation each, so a visitor sees them without asking
BASELINES = {"blurred": "blurred", "black": "black", "grey": "grey", "each method's own": None}
STEPS, WINDOWS, STRIDES = (8, 16, 32, 64, 128), (30, 60, 80, 120), {"1": 1.0, "3/4": 0.75, "1/2": 0.5, "1/4": 0.25}
QUICK = Options(baseline="blurred", steps=32, window=80, stride=60)  # 35 evaluations with gradients, 49 without


def kept(key: str, default: Any) -> Any:
    """A widget's value when the page was last left, for its start; `keep` stores it."""
    return st.session_state.get(f"kept {key}", default)


def keep(key: str, value: Any) -> Any:
    """Stores a widget's value for the next visit of the page."""
    st.session_state[f"kept {key}"] = value
    return value


def pick_target(prediction: Prediction, place: tuple[int, int]) -> Target | None:
    """Whose score, and where; None, with a sentence, if there is no such place."""
    here, classes = int(prediction.labels[place]), prediction.classes
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    offered = [AS_PREDICTED, *range(len(classes))]
    start = kept("attribution class", AS_PREDICTED)
    index = left.selectbox(
        "Class",
        offered,
        offered.index(start) if start in offered else 0,
        format_func=lambda one: f"{classes[here]} (predicted at the point)" if one == AS_PREDICTED else classes[one],
        key="attribution class",
        help="Whose logit, the score before the softmax, is explained",
    )
    where = right.segmented_control(
        "Score taken at",
        (POINT, CLASS, PICTURE),
        default=kept("attribution where", POINT),
        required=True,
        key="attribution where",
        help="The logit of one pixel, or its mean over all pixels predicted as the class, or over the picture",
    )
    keep("attribution class", index)
    keep("attribution where", where)
    chosen = here if index == AS_PREDICTED else index
    if where == POINT:
        return Target(chosen, pixel=place)
    if where == PICTURE:
        return Target(chosen)
    mask = prediction.labels == chosen
    if not mask.any():
        st.info(f"No pixel is predicted as {classes[chosen]}; choose another class, or take the score elsewhere.")
        return None
    return Target(chosen, mask=mask)


def pick_methods() -> list[str]:
    """The methods, in the order of METHODS."""
    picked = st.pills(
        "Methods",
        tuple(METHODS),
        selection_mode="multi",
        default=kept("attribution methods", list(START)),
        format_func=lambda name: METHODS[name].title,
        key="attribution methods",
    )
    keep("attribution methods", picked)
    return [name for name in METHODS if name in picked]


def pick_options() -> Options:
    """How the methods go about it."""
    with st.expander("Settings of the methods"):
        one, two, three, four, five = st.columns(5, vertical_alignment="bottom")
        kind = one.selectbox("Baseline", BASELINES, key="attribution baseline", help="What Integrated Gradients starts "
            "from and Occlusion covers with. Each is blind where the picture looks like it.")  # fmt: skip
        steps = two.select_slider("Integrated Gradients: steps", STEPS, QUICK.steps, key="attribution steps")
        window = three.select_slider("Occlusion: square", WINDOWS, QUICK.window, key="attribution window",
            help="Its side, in pixels of the picture as the model sees it, about 480 x 360")  # fmt: skip
        stride = four.select_slider("Occlusion: step (sides)", STRIDES, "3/4", key="attribution stride")
        relu = five.toggle(
            "Grad-CAM: ReLU", key="attribution relu", help="The positive part only, as in the paper's eq. 2"
        )
    baseline: Any = BASELINES[kind]
    return Options(baseline=baseline, steps=steps, window=window, stride=round(window * STRIDES[stride]), relu=relu)


@dataclass(frozen=True, eq=False)
class Questions:
    """What the page asks about one model and picture, by method."""

    model: str
    image: UInt8[np.ndarray, "height width 3"]
    ops: Mapping[str, Attribute]

    @cached_property
    def keys(self) -> Mapping[str, Hashable]:
        """What tells a method's question apart from other questions of the session."""
        picture = digest(self.image)
        return {name: (self.model, picture, parameter_key(op)) for name, op in self.ops.items()}

    def evaluations(self, name: str) -> int:
        """How many pictures the model has to see."""
        size = working_size(self.image.shape[0], self.image.shape[1])
        return METHODS[name].evaluations(self.ops[name].options, size)

    def seconds(self, name: str) -> float:
        """How long it takes when nobody else computes: by the last one of its kind, else a guess."""
        each = MEASURED.get((self.model, name), FIRST_GUESS[name != "occlusion"])
        return each * self.evaluations(name)

    def quick(self, name: str) -> bool:
        """Whether it takes a moment only, or is known already."""
        return self.evaluations(name) == 1 or engine().is_cached(self.model, self.image, self.ops[name])


def answers(questions: Questions) -> dict[str, Attribution]:
    """What is there, by method; asks for the rest where that takes a moment only, or when told to.

    Its row holds the button that starts or cancels, and says how long it takes or how far it is.
    """
    asked = ask(questions, [name for name in questions.ops if questions.quick(name)])
    pending = {name: answer for name, answer in asked.items() if not answer.done()}
    failed = {name: error for name, answer in asked.items() if (error := error_of(answer)) is not None}
    found = {name: asked[name].result() for name in asked if name not in {*pending, *failed}}
    if pending:
        working(pending)
    else:
        waiting(questions, [name for name in questions.ops if name not in found], failed)
    for name, result in found.items():
        MEASURED[questions.model, name] = result.seconds / questions.evaluations(name)
        for note in result.notes:
            st.warning(f"{METHODS[name].title}: {note}.", icon=":material/warning:")
    return {name: result.value for name, result in found.items()}


def ask(
    questions: Questions, wanted: Collection[str], retried: tuple[type[BaseException], ...] = LOST
) -> dict[str, Answer]:
    """The session's answers to these questions, by method; what is not asked any more is taken back.

    Args:
        questions: what is asked now.
        wanted: methods to begin with, where that has not been done.
        retried: answers that ended so are asked for again.
    """
    before: dict[Hashable, Answer] = st.session_state.get(ASKED, {})
    now = {key: before[key] for key in questions.keys.values() if key in before}
    new = [
        name
        for name, key in questions.keys.items()
        if (isinstance(error_of(now[key]), retried) if key in now else name in wanted)
    ]
    if new:  # with all that is under way: alone, it would take the place of what the session has in the queue
        names = [name for name, key in questions.keys.items() if name in new or (key in now and not now[key].done())]
        ops = [questions.ops[name] for name in names]
        given = engine().ask_all(questions.model, questions.image, ops, session_id(), LEASE_S)
        now.update(zip([questions.keys[name] for name in names], given, strict=True))
    for answer in before.values():
        if answer not in now.values():
            answer.cancel()
    st.session_state[ASKED] = now
    return {name: now[key] for name, key in questions.keys.items() if key in now}


def compute(questions: Questions, missing: Collection[str]) -> None:
    """Begins with what is missing, also where it ended without a result before."""
    ask(questions, missing, retried=(BaseException,))


def error_of(answer: Answer) -> BaseException | None:
    """Why an answer ended without a result; None where it has one, or may get one."""
    try:
        return answer.exception() if answer.done() else None
    except CancelledError as error:
        return error


@st.fragment(run_every=LOOK_EVERY)
def working(pending: Mapping[str, Answer]) -> None:
    """Progress and cancel; the page runs again when there is something new."""
    statuses = {name: answer.status() for name, answer in pending.items()}  # of all: it renews their leases
    if any(answer.done() for answer in pending.values()):
        st.rerun()
    name, first = min(statuses.items(), key=lambda item: item[1].position)
    left, right = st.columns([1, 4], vertical_alignment="center")
    left.button(
        "Cancel", icon=":material/close:", key="attribution cancel", on_click=cancel, args=(pending,), width="stretch"
    )
    right.caption("The chosen methods are being computed.")  # a line, as there is one in `waiting`: nothing moves
    right.progress(first.done / first.total, f"{METHODS[name].title}: {words(first) or 'computing …'}")


def cancel(pending: Mapping[str, Answer]) -> None:
    """Takes the questions back."""
    for answer in pending.values():
        answer.cancel()


def waiting(questions: Questions, missing: Collection[str], failed: Mapping[str, BaseException]) -> None:
    """The button that starts what is missing, and how long that takes or why it ended."""
    left, right = st.columns([1, 4], vertical_alignment="center")
    left.button(
        "Compute", icon=":material/play_arrow:", key="attribution compute", type="primary", disabled=not missing,
        on_click=compute, args=(questions, missing), width="stretch",
    )  # fmt: skip
    if not missing:
        right.caption("All chosen methods are computed.")
        return
    names = ", ".join(METHODS[name].title for name in missing)
    seconds = max(1, round(sum(map(questions.seconds, missing))))
    cancelled = "Cancelled. " * any(isinstance(error, CancelledError) for error in failed.values())
    right.caption(f"{cancelled}{names}: about {seconds} s on {engine().device}.")
    for name, error in failed.items():
        if not isinstance(error, CancelledError):
            st.error(escape_markdown(f"{METHODS[name].title}: {error}."), icon=":material/error:")
