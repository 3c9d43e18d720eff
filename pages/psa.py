"""PSA: collect and distribute masks of the pinned points, as in PSANet's Fig. 6."""

import streamlit as st

from segviz.ui.first_sight import first_place, why_first
from segviz.ui.map_help import show_worth
from segviz.ui.models import predict_or_stop
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.prediction_panels import panels_of_maps, prediction_panel
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panels_of_maps import pin_panels

PAGE = "psa"

st.title("Point-wise spatial attention")
st.caption(
    "**Collect**: what the point gathers from every place (row p, sums to 1). "
    "**Distribute**: how much every place receives from it (column p). PSANet, ECCV 2018, eq. 8-9, Fig. 6. "
    "Equation 8 divides by N; these masks have a softmax over the places that are read, as in the released networks. "
    "Pin two or more points to compare them."
)
picture = current_picture()
prediction = predict_or_stop("psa", picture)
show_worth("psa")


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    masks = panels_of_maps(prediction)
    # The prediction stays when points are pinned: without it the toolbar would lose a control, and all would move.
    panels = [*masks, *pin_panels(masks, current_pins(PAGE)), prediction_panel(prediction)]
    rest, why = first_place(prediction, picture), why_first(prediction, picture)
    show_viewer(picture, panels, page=PAGE, rest=rest, why=why)


viewer()
