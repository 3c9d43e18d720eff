"""SNL: the sampled points of a place, their weights, and the window that they started from."""

import numpy as np
import streamlit as st

from segviz.attention.maps import SampledAttention
from segviz.text import percent_text
from segviz.ui.first_sight import first_place, why_first
from segviz.ui.map_help import show_worth
from segviz.ui.models import predict_or_stop
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panel import Pin
from segviz.viewer.panels_of_maps import panels_of_map, pin_panels

PAGE = "snl"

st.title("Sampled points: sparse non-local")
st.caption(
    "Each place reads K = 81 points: a 9 x 9 window, every point moved by a learned offset and weighted by a softmax. "
    "The faint window shows the points before they are moved. SSANet, arXiv 2109.01915, eq. 4-7."
)
picture = current_picture()
prediction = predict_or_stop("snl", picture)
samples = prediction.map_of(SampledAttention, "samples")
show_worth("snl")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panels, pins = panels_of_map(samples, "snl"), current_pins(PAGE)
    rest, why = first_place(prediction, picture), why_first(prediction, picture)
    show_viewer(picture, [*panels, *pin_panels(panels[:1], pins)], page=PAGE, rest=rest, why=why)
    for pin in pins:
        st.caption(f"Point {pin.number}: {describe_samples(pin)}.")


def describe_samples(pin: Pin) -> str:
    """The offsets and weights of a point's samples, in words."""
    row, column = samples.cell(pin.y, pin.x, *picture.size)
    positions, weights = samples.samples(row, column)
    moved = (positions - samples.window_around(row, column)).norm(dim=1)
    inside = float(samples.attends_to(row, column).sum())
    within = percent_text(np.clip(inside, 0, 1), 1)
    return (
        f"mean offset {float(moved.mean()):.2f} cells, largest {float(moved.max()):.2f}; strongest weight "
        f"{float(weights.max()):.3f} (uniform: {1 / len(weights):.3f}); {within} of the weight is "
        "inside the picture"
    )


viewer()
