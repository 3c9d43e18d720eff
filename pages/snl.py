"""SNL: the sampled points of a place, their weights, and the window they started from."""

import numpy as np
import streamlit as st

from segviz.attention.maps import SampledAttention
from segviz.ui.models import predict
from segviz.ui.picture_sidebar import picture
from segviz.ui.session import pins
from segviz.ui.show import show
from segviz.viewer.panels_of_prediction import map_panels, pinned_panels

KEY = "snl"

st.title("Sparse non-local: sampled offsets")
st.caption(
    "Each place reads K = 81 points: a 9 x 9 window, every point moved by a learned offset and weighed by a softmax. "
    "The faint window shows where they would lie unmoved. SSANet, arXiv 2109.01915, eq. 3-6."
)
chosen = picture()
prediction = predict("snl", chosen)
samples = prediction.map_of(SampledAttention, "samples")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    panels = map_panels(samples)
    kept = pins(KEY)
    show(chosen, [*panels, *pinned_panels(panels[:1], kept)], key=KEY, columns=2)
    height, width = chosen.image.shape[:2]
    for number, pin in enumerate(kept):
        row, column = samples.cell(pin.y, pin.x, height, width)
        positions, weights = samples.samples(row, column)
        moved = (positions - samples.undisplaced(row, column)).norm(dim=1)
        inside = float(samples.attends_to(row, column).sum())
        st.caption(
            f"Point {number + 1}: mean offset {float(moved.mean()):.2f} cells, largest {float(moved.max()):.2f}; "
            f"strongest weight {float(weights.max()):.3f} (uniform: {1 / len(weights):.3f}); "
            f"{np.clip(inside, 0, 1):.1%} of the weight lies inside the picture."
        )


viewer()
