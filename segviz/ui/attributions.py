"""The Attribution page's controls: what to explain, by which methods, and the job that computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from segviz.attribution import METHODS, Attribution, Options, Target
from segviz.attribution.jobs import ATTRIBUTIONS, Job, Question
from segviz.engine import engine
from segviz.predict import Prediction

JOB = "attribution job"
LOOK_EVERY = 0.7  # seconds between looks at a job
POINT, CLASS, PICTURE = "Point", "Class region", "Whole picture"
AS_PREDICTED = -1
START = ("grad_cam_output", "saliency")  # one evaluation each, so a visitor sees them without asking
BASELINES = {"blurred": "blurred", "black": "black", "grey": "grey", "each method's own": None}
STEPS, WINDOWS, STRIDES = (8, 16, 32, 64, 128), (30, 60, 80, 120), {"1": 1.0, "3/4": 0.75, "1/2": 0.5, "1/4": 0.25}
QUICK = Options(baseline="blurred", steps=16, window=80, stride=60)  # 19 evaluations with gradients, 49 without


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


def answers(questions: Sequence[Question]) -> dict[str, Attribution]:
    """What is known, by method; computes the rest where that takes a moment only, or when asked to.

    Its row holds the button that starts or cancels, and says how long it takes or how far it is.
    """
    job: Job | None = st.session_state.get(JOB)
    answered = 0 if job is None else job.answered  # before looking: what comes later runs the page again
    found = {one.method: known for one in questions if (known := ATTRIBUTIONS.known(one)) is not None}
    missing = [one for one in questions if one.method not in found]
    if job is not None and not job.ended and not any(job.asks(one) for one in missing):
        job.cancel()  # nobody waits for it any more
        job = None
    if job is None or job.ended:
        tried = [] if job is None else [one for one in missing if job.asks(one)]
        quick = [one for one in missing if one.evaluations == 1 and one not in tried]
        if quick:
            job, answered = ATTRIBUTIONS.start(quick), 0
            st.session_state[JOB] = job
    if job is not None and not job.ended:
        working(job, answered)
    else:
        waiting(missing, job)
    return found


@st.fragment(run_every=LOOK_EVERY)
def working(job: Job, answered: int) -> None:
    """Progress and cancel; the page runs again when there is something new."""
    part, words = job.progress()
    if job.ended or job.answered > answered:
        st.rerun()
    left, right = st.columns([1, 4], vertical_alignment="center")
    left.button("Cancel", icon=":material/close:", key="attribution cancel", on_click=job.cancel, width="stretch")
    right.progress(part, words)


def waiting(missing: Sequence[Question], job: Job | None) -> None:
    """The button that starts what is missing, and how long that takes or why the last job ended."""
    left, right = st.columns([1, 4], vertical_alignment="center")
    if left.button(
        "Compute", icon=":material/play_arrow:", key="attribution compute", type="primary", disabled=not missing,
        width="stretch",
    ):  # fmt: skip
        st.session_state[JOB] = ATTRIBUTIONS.start(missing)
        st.rerun()
    if not missing:
        right.caption("All chosen methods are computed.")
        return
    seconds = sum(map(ATTRIBUTIONS.expected_seconds, missing))
    names = ", ".join(METHODS[one.method].title for one in missing)
    text = f"{names}: about {max(1, round(seconds))} s on {engine().device}."
    if job is not None and any(job.asks(one) for one in missing):
        if job.state == "failed":
            st.error(f"{METHODS[job.current.method].title}: {job.trouble}", icon=":material/error:")
        text = f"{'Cancelled. ' if job.state == 'cancelled' else ''}{text}"
    right.caption(text)
