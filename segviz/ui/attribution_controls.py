"""The Attribution page's controls: what to explain, and by which methods."""

from __future__ import annotations

from typing import Any

import streamlit as st

from segviz.attribution import METHODS, Options, Target
from segviz.prediction.prediction import Prediction
from segviz.ui.widgets import keep_widget

POINT, CLASS, PICTURE = "Point", "Class region", "Whole picture"
AS_PREDICTED = -1
START = ("grad_cam_output", "saliency")  # one evaluation each, so a visitor sees them without asking
BASELINE_CHOICES = {"blurred": "blurred", "black": "black", "grey": "grey", "each method's own": None}
STEPS, WINDOWS, STRIDES = (8, 16, 32, 64, 128), (30, 60, 80, 120), {"1": 1.0, "3/4": 0.75, "1/2": 0.5, "1/4": 0.25}
QUICK = Options(baseline="blurred", steps=32, window=80, stride=60)  # 35 evaluations with gradients, 49 without


def pick_target(prediction: Prediction, place: tuple[int, int]) -> Target | None:
    """The score to explain and where it is taken; None, with a sentence, if there is no such place.

    Args:
        prediction: the model's prediction.
        place: the point, as an image pixel (y, x).
    """
    here, classes = int(prediction.labels[place]), prediction.classes
    left, right = st.columns(2, vertical_alignment="bottom")
    offered = [AS_PREDICTED, *range(len(classes))]
    index = left.selectbox(
        "Class",
        offered,
        format_func=lambda one: f"{classes[here]} (predicted at the point)" if one == AS_PREDICTED else classes[one],
        help="The logit (the score before the softmax) of this class is explained",
        **keep_widget("attribution class", AS_PREDICTED, offered, linked=offered),
    )
    where = right.segmented_control(
        "Score taken at",
        (POINT, CLASS, PICTURE),
        required=True,
        help="The logit at one pixel, or its mean over all pixels predicted as the class, or over the picture",
        **keep_widget("attribution where", POINT, linked=(POINT, CLASS, PICTURE)),
    )
    target_class = here if index == AS_PREDICTED else index
    if where == POINT:
        return Target(target_class, pixel=place)
    if where == PICTURE:
        return Target(target_class)
    mask = prediction.labels == target_class
    if not mask.any():
        st.info(f"No pixel is predicted as {classes[target_class]}; choose another class, or take the score elsewhere.")
        return None
    return Target(target_class, mask=mask)


def pick_methods() -> list[str]:
    """The methods, in the order of METHODS."""
    picked = st.pills(
        "Methods",
        tuple(METHODS),
        selection_mode="multi",
        format_func=lambda name: METHODS[name].title,
        **keep_widget("attribution methods", list(START), linked=METHODS),
    )
    return [name for name in METHODS if name in picked]


def pick_options() -> Options:
    """The settings of the methods."""
    with st.popover("Settings of the methods", icon=":material/tune:"):
        kind = st.selectbox(
            "Baseline",
            BASELINE_CHOICES,
            help="Integrated Gradients starts from it and Occlusion covers with it. Neither sees anything where the "
            "picture already looks like it.",
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
