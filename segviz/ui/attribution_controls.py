"""The Attribution page's controls: what to explain, and by which methods."""

from __future__ import annotations

from typing import Any

import streamlit as st

from segviz.attribution import METHODS, Options, Target
from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Place
from segviz.text import escape_markdown, join_with_commas
from segviz.ui.widgets import keep_widget

POINT, CLASS, PICTURE = "Point", "Class region", "Whole picture"
TAKEN = {
    POINT: "at the point",
    CLASS: "over its region",
    PICTURE: "over the picture",
}  # the choice, in the form's label
AS_PREDICTED = -1
START = ("grad_cam_output", "saliency")  # one evaluation each, so a visitor sees them without asking
BASELINE_CHOICES = {"blurred": "blurred", "black": "black", "grey": "grey", "each method's own": None}
STEPS, WINDOWS, STRIDES = (8, 16, 32, 64, 128), (30, 60, 80, 120), {"1": 1.0, "3/4": 0.75, "1/2": 0.5, "1/4": 0.25}
QUICK = Options(baseline="blurred", steps=32, window=80, stride=60)  # 35 evaluations with gradients, 49 without


def pick_target(prediction: Labelled, place: Place) -> Target | None:
    """The score to explain and where it is taken, from a folded form; None if there is no such place (`why_no_target`).

    Args:
        prediction: the model's prediction.
        place: the point, as an image pixel (y, x).
    """
    here, classes = int(prediction.labels[place]), prediction.classes
    offered = [AS_PREDICTED, *range(len(classes))]
    class_kept = keep_widget("attribution class", AS_PREDICTED, offered, linked=offered)
    where_kept = keep_widget("attribution where", POINT, linked=tuple(TAKEN))
    target_class = explained_class(prediction, place)
    label = f"{escape_markdown(classes[target_class])} {TAKEN[st.session_state[where_kept['key']]]}"
    # A menu's tooltip would stay over the page while the menu is open, so menus have none.
    with st.popover(label, key="score", width="stretch", wrap=False):
        st.selectbox(
            "Class",
            offered,
            format_func=lambda one: (
                f"{classes[here]} (predicted at the point)" if one == AS_PREDICTED else classes[one]
            ),
            help="The logit (the score before the softmax) of this class is explained",
            **class_kept,
        )
        where = st.segmented_control(
            "Score taken at",
            tuple(TAKEN),
            required=True,
            help="The logit at one pixel, or its mean over all pixels predicted as the class, or over the picture",
            **where_kept,
        )
    if where == POINT:
        return Target(target_class, pixel=place)
    if where == PICTURE:
        return Target(target_class)
    mask = prediction.labels == target_class
    return Target(target_class, mask=mask) if mask.any() else None


def explained_class(prediction: Labelled, place: Place) -> int:
    """The index of the class that is chosen, or of the one predicted at the point."""
    chosen = st.session_state["attribution class"]
    return int(prediction.labels[place]) if chosen == AS_PREDICTED else int(chosen)


def why_no_target(prediction: Labelled, place: Place) -> str:
    """A sentence for a class that is predicted nowhere."""
    name = escape_markdown(prediction.classes[explained_class(prediction, place)])
    return f"No pixel is predicted as {name}; choose another class, or take the score elsewhere."


def pick_methods(has_layer: bool = True) -> tuple[list[str], Options]:
    """The methods, in the order of METHODS, and their settings, from a folded form.

    Args:
        has_layer: whether there is a layer for those that read one; without, they are left out of the answer.
    """
    kept = keep_widget("attribution methods", list(START), linked=METHODS)
    chosen = [name for name in METHODS if name in st.session_state[kept["key"]]]
    without = [] if has_layer else [METHODS[name].title for name in chosen if METHODS[name].at_block]
    label = f"Methods: {f'{len(chosen) - len(without)} of ' if without else ''}{len(chosen)}"
    with st.popover(label, key="methods", wrap=False):
        picked = st.pills(
            "Methods",
            tuple(METHODS),
            selection_mode="multi",
            format_func=lambda name: METHODS[name].title,
            wrap=True,
            **kept,
        )
        if without:
            st.caption(f"Left out, as no attention layer was found that could be read: {join_with_commas(without)}.")
        options = pick_options()
    return [name for name, row in METHODS.items() if name in picked and (has_layer or not row.at_block)], options


def pick_options() -> Options:
    """The settings of the methods."""
    kind = st.selectbox(
        "Baseline",
        BASELINE_CHOICES,
        help="Integrated Gradients starts from it, and Occlusion covers with it. Both methods miss regions that "
        "already look like the baseline.",
        **keep_widget("attribution baseline", next(iter(BASELINE_CHOICES)), linked=BASELINE_CHOICES),
    )
    steps = st.select_slider(
        "Integrated Gradients: steps", STEPS, **keep_widget("attribution steps", QUICK.steps, linked=STEPS)
    )
    window = st.select_slider(
        "Occlusion: square",
        WINDOWS,
        help="Its side, in pixels of the picture as the model sees it, about 480 x 360",
        **keep_widget("attribution window", QUICK.window, linked=WINDOWS),
    )
    stride = st.select_slider(
        "Occlusion: step (sides)", STRIDES, **keep_widget("attribution stride", "3/4", linked=STRIDES)
    )
    relu = st.toggle(
        "Grad-CAM: ReLU",
        help="The positive part only, as in the paper's eq. 2",
        **keep_widget("attribution relu", False, linked=(False, True)),
    )
    baseline: Any = BASELINE_CHOICES[kind]
    return Options(baseline=baseline, steps=steps, window=window, stride=round(window * STRIDES[stride]), relu=relu)
