"""Inspect: any model over the picture; the views that its maps allow."""

import streamlit as st

from segviz.catalogue.bundled import available_models, val_miou
from segviz.models.registry import SPECS
from segviz.ui.map_help import how_to_read
from segviz.ui.models import pick_model, predict
from segviz.ui.picture_sidebar import picture
from segviz.ui.session import pins
from segviz.ui.show import show
from segviz.viewer.panels_of_prediction import attended_panels, map_panels, pinned_rows, prediction_panel

KEY = "inspect"

st.title("Where does each place look?")
chosen = picture()
with st.container(key="model", horizontal=True, vertical_alignment="bottom"):
    model = pick_model("Model", available_models(), "ema", "inspect model")
    how_to_read(model)
prediction = predict(model, chosen)
st.caption(
    "Point at the picture: the maps follow. Click, or press Enter, to keep a point; on a touch screen, tap to look and "
    "tap again to keep."
)


@st.fragment
def viewer() -> None:
    """A pin runs this part alone."""
    following = [panel for one in prediction.maps.values() for panel in map_panels(one)]
    static = [] if following else attended_panels(prediction)
    rows = pinned_rows(prediction, following, pins(KEY)) if following else []
    panels = [prediction_panel(prediction), *following, *static, *rows]
    show(chosen, panels, key=KEY, columns=1 + len(following) if following else 3)


viewer()
spec = SPECS[model]
if not any(map_panels(one) for one in prediction.maps.values()):
    reason = (
        "it relates channels, not places, so a point has no map of its own (FLANet calls this the missing attention)"
        if prediction.maps
        else "it has no attention block"
    )
    st.info(f"{spec.title} has no map from place to place: {reason}. Shown are its channel means.")
score = val_miou(model)
scored = f" Val mIoU {score:.1%}." if score is not None else ""
st.caption(f"{spec.title}, after {spec.paper}.{scored}")
