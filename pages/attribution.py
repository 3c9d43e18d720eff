"""Attribution: which pixels drive a class's score, by Captum's methods, beside what the block attends to."""

from collections.abc import Mapping

import streamlit as st

from segviz.attribution import METHODS, Attribution, Target
from segviz.catalogue.bundled import available_models
from segviz.engine import Attribute
from segviz.figures.attribution_table import (
    HELP,
    attribution_columns,
    completeness_warning,
    rank_correlations,
    rank_note,
)
from segviz.models.registry import SPECS
from segviz.text import pixel_text
from segviz.ui.attribution_answers import Questions, collect_answers
from segviz.ui.attribution_controls import pick_methods, pick_options, pick_target
from segviz.ui.charts import csv_button
from segviz.ui.models import pick_model, predict_or_stop
from segviz.ui.page_table import ROWS
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import choose_pin, current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.ui.tables import Head, show_table
from segviz.viewer.panel import Panel, ScalarMap
from segviz.viewer.panels_of_prediction import prediction_panel

PAGE = "attribution"
DIGITS = "%.3g"
PEAKED = ("integrated_gradients", "saliency")
HEADS = (
    Head("Smallest", "The map's smallest value.", DIGITS),
    Head("Largest", "The map's largest value.", DIGITS),
    Head("Explained", "The picture's score less the baseline's.", DIGITS),
    Head(
        "Delta",
        "Convergence delta: the map's sum less what is explained; – for methods without one.",
        DIGITS,
    ),
    Head("Baseline", "What the picture is compared with."),
)

RANK = (
    "Spearman's ρ between the attribution, averaged over the block's cells, and the attention from the point: 1 if "
    "both rank all cells alike, 0 if the rankings are unrelated. Signed values rank as they are."
)

heading = st.container(key="heading", horizontal=True, vertical_alignment="bottom")
heading.title("Which pixels drive this class?")
picture = current_picture()
with heading:
    model = pick_model("Model", available_models(), "spatial_nl", ROWS[PAGE].models_key)
prediction = predict_or_stop(model, picture)
maps = prediction.spatial_maps


@st.fragment
def workbench() -> None:
    """A pin or a control runs this part alone."""
    pins, (height, width) = current_pins(PAGE), picture.size
    pin = choose_pin(PAGE, pins)
    place = (height // 2, width // 2) if pin is None else (pins[pin].y, pins[pin].x)
    target = pick_target(prediction, place)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods, options = pick_methods(), pick_options()
    answers: dict[str, Attribution] = {}
    if target is not None:
        ops = {name: Attribute(name, target, options) for name in methods}
        answers = collect_answers(Questions(model, picture, ops))
    ranks = {name: rank_correlations(answer, maps, place, picture.size) for name, answer in answers.items()}
    panels = [prediction_panel(prediction), *attention_panels(place, pin)]
    panels += [
        attribution_panel(answers[name], rank_note(ranks[name]), pin) if name in answers else blank_panel(name)
        for name in methods
    ]
    show_viewer(picture, panels, page=PAGE, columns=2 if len(panels) <= 4 else 3, chosen=pin)
    if not set(methods).isdisjoint(PEAKED):
        st.caption(
            "A few pixels carry most of a gradient: where its map looks empty, the scale *percentile* shows the rest."
        )
    if target is not None and answers:
        show_answers(answers, ranks, target, place)
    show_help()


def attention_panels(place: tuple[int, int], pin: int | None) -> list[Panel]:
    """Where the block looks from the point."""
    note = "what the point draws from each place"
    return [
        Panel(f"Attention ({one.name})", one, "attends_to", at=place, pin=pin, note=note, model=model) for one in maps
    ]


def blank_panel(name: str) -> Panel:
    """The bare picture, in place of a map that is not computed yet."""
    return Panel(METHODS[name].title, None, "plain", note="not computed yet", pending=True)


def attribution_panel(answer: Attribution, note: str, pin: int | None) -> Panel:
    """A method's map, framed in the pin's colour where the score is taken at that point."""
    values = ScalarMap(answer.values, METHODS[answer.method].counts, answer.signed)
    own = pin if answer.target.pixel is not None else None
    return Panel(answer.title, values, "values", at=answer.target.pixel, pin=own, note=note, model=model)


def show_answers(
    answers: Mapping[str, Attribution],
    ranks: Mapping[str, Mapping[str, float]],
    target: Target,
    place: tuple[int, int],
) -> None:
    """The score that is explained, and the numbers of every answer."""
    name = prediction.classes[target.class_index]
    over = f"at {pixel_text(*place)}"
    if target.pixel is None:
        over = "on average over the picture" if target.mask is None else f"on average over all pixels of {name}"
    score = next(iter(answers.values())).score
    st.markdown(f"Explained: the logit of **{name}** {over}, which is **{score:.2f}**.")
    for sentence in filter(None, map(completeness_warning, answers.values())):
        st.warning(sentence, icon=":material/warning:")
    table = attribution_columns(list(answers.values()), [ranks[method] for method in answers])
    rank_heads = (Head(title, RANK, "%.2f") for title in table if title.startswith("ρ"))
    show_table(table, (*HEADS, *rank_heads), "Each attribution's numbers")
    csv_button(table, "attribution")


def show_help() -> None:
    """What is shown, and what the numbers mean."""
    st.caption(
        "**Attention** is what the block reads at a point. **Attribution** is which pixels drive a class's score "
        "through the whole network. The two need not agree: the rank correlation ρ says how far they do. Choose a "
        "point to explain it."
    )
    if not maps:
        st.info(f"{SPECS[model].title} has no map from place to place, so there is no attention to compare with.")
    with st.expander("What the methods compute"):
        st.markdown("$z$ is the score: the class's logit, before the softmax, averaged over the places chosen above.")
        st.markdown("\n".join(f"- **{row.title}** ({row.paper}). {HELP[name]}" for name, row in METHODS.items()))
        st.markdown(f"**Rank correlation** {RANK}")


workbench()
