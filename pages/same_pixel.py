"""Same pixel, every block: where each model looks from one place, or who looks at it, and what the numbers say."""

import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.figures.same_pixel_table import no_map_sentences
from segviz.text import escape_markdown
from segviz.ui.beside_maps import INFLUENCE_HELP, last_pin_influences
from segviz.ui.crops import asked_place, crops_sentence
from segviz.ui.display_settings import stored_display
from segviz.ui.first_sight import first_place, why_first
from segviz.ui.lead_to import lead_to
from segviz.ui.map_help import explain_worth
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import current_pins
from segviz.ui.progressive import ready_predictions, run_next_model
from segviz.ui.same_pixel import folded_models, model_panels, show_numbers
from segviz.ui.same_pixel_networks import pick_networks
from segviz.ui.show_viewer import show_viewer
from segviz.ui.widgets import keep_widget

PAGE = "same_pixel"

st.title("Same pixel, every block")
st.caption(
    "Point at any picture, or tap it: each shows where its model looks from that place or, with *attended by* (on a "
    "phone under *Display*), which pixels look at it. All maps begin on one shared log scale. The cells of a coarse "
    "grid are larger, so each holds more of the weight. Click, or tap again, to pin points; the table has their "
    "numbers."
)
picture = current_picture()
names = available_models()
if not names:
    st.error("The checkpoints folder has no trained checkpoint; restore the bundled ones or train one.")
    st.stop()
picked = pick_networks(picture)
predictions = ready_predictions(names, picture, PAGE)
rest = first_place(predictions[names[0]], picture) if names[0] in predictions else None
why = why_first(predictions[names[0]], picture) if names[0] in predictions else ""
explain_worth(folded_models(names, predictions))


every = st.toggle(
    "Influence of every block",
    help="Shows influence at the last pin beside the weights, with their rank correlation. Blocks that have no map of "
    f"places have influence too. {INFLUENCE_HELP}",
    **keep_widget("same_pixel influence", False, linked=(False, True)),
)


@st.fragment
def viewer() -> None:
    """A pin or a setting runs this part alone."""
    pins = current_pins(PAGE)
    influences = last_pin_influences(picture, predictions, pins, every)
    own = [panel for one in picked for panel in one.panels(picture, asked_place(pins, rest, picture))]
    panels = own + model_panels(names, predictions) + influences
    show_viewer(picture, panels, page=PAGE, columns=3, rest=rest, why=why)
    classes = {one.answer.name: one.answer.classes for one in picked if one.answer.classes is not None}
    show_numbers(picture, predictions, pins, stored_display(PAGE).direction, own, classes)


viewer()
if picked:
    st.caption("Networks of your own have numbers at pinned points; the means are the bundled models'.")
if sentence := crops_sentence([one.answer for one in picked]):
    st.caption(escape_markdown(sentence))
st.caption(
    "**Depends** asks whether a map depends on its point at all. Non-local maps are known to become "
    "query-independent, the same everywhere (Cao et al., GCNet, ICCVW 2019, section 3; "
    "[xvjiarui/GCNet #7](https://github.com/xvjiarui/GCNet/issues/7) asks about segmentation). Windows and crosses "
    "that move with the point, as in SNL and RCCA, depend on it by construction."
)
if without := no_map_sentences(list(predictions.values())):
    st.header("No map from place to place")
    st.markdown("\n".join(f"- {sentence}" for sentence in without))
    if "fla" in predictions:
        lead_to("fla", "FLANet's own figure")
run_next_model(names, picture, PAGE)
