"""Inspect: any model over the picture; the views that its maps allow."""

import streamlit as st

from segviz.catalogue.bundled import val_miou
from segviz.catalogue.context_worth import OWN_SCORE
from segviz.catalogue.own_models import own_models
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.text import percent_text
from segviz.ui.beside_maps import INFLUENCE, influence_panels, pick_beside, similarity_panels
from segviz.ui.first_sight import FIRST_MODEL, first_place, why_first
from segviz.ui.influence_panel import influence_place_holder
from segviz.ui.inspect_crops import PROTOCOL_KEY
from segviz.ui.inspect_network import NETWORK_CONTROLS, inspect_network
from segviz.ui.map_help import how_to_read, show_worth, why_no_map
from segviz.ui.models import offered_models, pick_model, predict_or_stop
from segviz.ui.page_table import ROWS
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.prediction_panels import feature_panels, panels_of_maps, pin_rows, prediction_panel
from segviz.ui.show_viewer import show_viewer
from segviz.ui.widgets import forget_linked
from segviz.viewer.panel import Panel

PAGE = "inspect"


def inspect_bundled(model: str, picture: Picture) -> None:
    """The page of a bundled model, below its heading."""
    with heading:
        beside = pick_beside(PAGE, model)
        how_to_read(model)
    prediction = predict_or_stop(model, picture)
    following = panels_of_maps(prediction) + similarity_panels(model, picture, beside)
    row = MODELS[model]
    if following:
        st.caption("Point at the picture, or tap it: the maps follow. Click, press Enter or tap again to pin a point.")
    else:
        why = why_no_map(prediction)
        st.info(f"{row.title} has no map from place to place: {why}. Its channel means are shown instead.")
    show_worth(model)
    show_maps(picture, prediction, following, beside)
    score = val_miou(model)
    scored = f" Val mIoU {percent_text(score, 1)} ({OWN_SCORE})." if score is not None else ""
    st.caption(f"{row.title}, after {row.paper}.{scored}")


@st.fragment
def show_maps(picture: Picture, prediction: Prediction, following: list[Panel], beside: str) -> None:
    """A pin runs this part alone."""
    pins = current_pins(PAGE)
    influences = influence_panels(picture, prediction, pins) if beside == INFLUENCE else None
    more = [] if influences is None or pins else [influence_place_holder()]  # at pins, the rows below have it
    if following:
        rows = pin_rows(prediction, following, pins, influences)
        columns = 1 + len(following) + (influences is not None)
        panels = [prediction_panel(prediction), *following, *more, *rows]
    else:
        own = list((influences or {}).values()) or more
        panels, columns = [prediction_panel(prediction), *feature_panels(prediction), *own], 3
    rest, why = first_place(prediction, picture), why_first(prediction, picture)
    show_viewer(picture, panels, page=PAGE, columns=columns, rest=rest, why=why)


heading = st.container(key="heading", horizontal=True, vertical_alignment="bottom")
heading.title("Where does each place look?")
picture = current_picture()
with heading:
    model = pick_model("Model", offered_models(), FIRST_MODEL, ROWS[PAGE].models_key)
if model in own_models():
    forget_linked(f"{PAGE} beside")
    inspect_network(model, picture)
else:
    forget_linked(*NETWORK_CONTROLS, PROTOCOL_KEY)
    inspect_bundled(model, picture)
