"""PSA: collect and distribute masks of the pinned points, as in PSANet's Fig. 6."""

import streamlit as st

from segviz.ui.models import predict
from segviz.ui.picture_sidebar import picture
from segviz.ui.session import pins
from segviz.ui.show import show
from segviz.viewer.panels_of_prediction import map_panels, pinned_panels, prediction_panel

KEY = "psa"

st.title("Point-wise spatial attention")
st.caption(
    "**Collect**: what the point gathers from every place (row p, sums to 1). "
    "**Distribute**: how much every place receives from it (column p). PSANet, ECCV 2018, eq. 8-10, Fig. 6. "
    "Click two or more points to set them side by side. Where a bar ends near 100 %, nearly all weight lies in one "
    "place: the scale **percentile** shows how the others rank."
)
chosen = picture()
prediction = predict("psa", chosen)


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    masks = [panel for name in ("collect", "distribute") for panel in map_panels(prediction.maps[name])]
    # The prediction stays when points are pinned: without it the toolbar would lose a control, and all would move.
    panels = [*masks, *pinned_panels(masks, pins(KEY)), prediction_panel(prediction)]
    show(chosen, panels, key=KEY, columns=2)


viewer()
