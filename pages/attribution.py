"""Attribution: which pixels drive a class's score, by Captum's methods, beside what the block attends to."""

import streamlit as st

from segviz.attention.maps import SpatialMap
from segviz.attribution import METHODS, Attribution
from segviz.catalogue.bundled import available_models
from segviz.catalogue.own_models import own_models
from segviz.engine import Attribute
from segviz.figures.attribution_table import (
    HELP,
    AttributionNumbers,
    attribution_columns,
    completeness_warning,
    rank_correlations,
    rank_note,
)
from segviz.prediction.panels import prediction_panel
from segviz.prediction.prediction import Place
from segviz.text import escape_markdown, pixel_text
from segviz.ui.attribution_answers import Questions, collect_answers
from segviz.ui.attribution_controls import pick_methods, pick_target, why_no_target
from segviz.ui.attribution_numbers import RANK, show_attribution_numbers, show_last_numbers
from segviz.ui.explained_model import explain_bundled, explain_network
from segviz.ui.first_sight import FIRST_MODEL
from segviz.ui.map_help import show_worth
from segviz.ui.models import pick_model, short_title
from segviz.ui.page_table import ROWS
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import choose_pin, current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panel import Panel, ScalarMap

PAGE = "attribution"
heading = st.container(key="heading", horizontal=True, vertical_alignment="bottom")
heading.title("Which pixels drive this class?")
picture = current_picture()
with heading:
    model = pick_model("Model", (*available_models(), *own_models()), FIRST_MODEL, ROWS[PAGE].models_key)
explained = explain_network(model, picture, heading) if model in own_models() else explain_bundled(model, picture)
prediction, layer, maps, rest = explained.prediction, explained.layer, explained.maps, explained.rest
ranked = [one for one in maps if isinstance(one, SpatialMap)]


@st.fragment
def workbench() -> None:
    """A pin or a control runs this part alone."""
    pins = current_pins(PAGE)
    pin = choose_pin(PAGE, pins)
    place = rest if pin is None else (pins[pin].y, pins[pin].x)
    controls = st.container(key="attribution controls", horizontal=True, vertical_alignment="center")
    messages = st.container()
    with controls:
        target = pick_target(prediction, place)
        methods, options = pick_methods(explained.has_layer)
    answers: dict[str, Attribution] = {}
    if target is None:
        messages.info(why_no_target(prediction, place))
    else:
        ops = {name: Attribute(name, target, options, layer) for name in methods}
        answers = collect_answers(Questions(model, picture, ops), controls, messages)
    ranks = {name: rank_correlations(answer, ranked, place, picture.size) for name, answer in answers.items()}
    panels = [prediction_panel(prediction), *attention_panels(place, pin)]
    panels += [
        attribution_panel(answers[name], rank_note(ranks[name]), pin) if name in answers else blank_panel(name)
        for name in methods
    ]
    show_viewer(picture, panels, page=PAGE, columns=2 if len(panels) <= 4 else 3, chosen=pin, rest=rest)
    if target is not None and answers:
        sentence = score_sentence(next(iter(answers.values())), place)
        warnings = tuple(filter(None, map(completeness_warning, answers.values())))
        columns = attribution_columns(methods, answers, ranks)
        show_attribution_numbers(AttributionNumbers((model, picture.digest), sentence, warnings, columns))
    elif target is not None:
        show_last_numbers((model, picture.digest))
    if ranked:
        show_worth(model)  # below: the maps come first
    show_help()


def attention_panels(place: tuple[int, int], pin: int | None) -> list[Panel]:
    """Where the block looks from the point."""
    note = "what the point draws from each place"
    return [
        Panel(f"Attention ({one.name})", one, "attends_to", at=place, pin=pin, note=note, model=model) for one in maps
    ]


def blank_panel(name: str) -> Panel:
    """The bare picture, in place of a map that is not computed yet."""
    return Panel(method_title(name), None, "plain", note="not computed yet", pending=True)


def method_title(name: str) -> str:
    """A method's name for people, with the layer that it reads."""
    title = METHODS[name].title
    return title.replace("the block's", f"{layer}'s") if layer else title


def attribution_panel(answer: Attribution, note: str, pin: int | None) -> Panel:
    """A method's map, framed in the pin's colour where the score is taken at that point."""
    values = ScalarMap(answer.values, METHODS[answer.method].counts, answer.signed)
    own = pin if answer.target.pixel is not None else None
    return Panel(answer.title, values, "values", at=answer.target.pixel, pin=own, note=note, model=model)


def score_sentence(answer: Attribution, place: Place) -> str:
    """Which score is explained, and its value, in Markdown."""
    target = answer.target
    name = escape_markdown(prediction.classes[target.class_index])
    over = f"at {pixel_text(*place)}"
    if target.pixel is None:
        over = "on average over the picture" if target.mask is None else f"on average over all pixels of {name}"
    return f"the logit of **{name}** {over}, which is **{answer.score:.2f}**"


def show_help() -> None:
    """What is shown, and what the numbers mean."""
    st.caption(
        "**Attention** is what the block reads at a point. **Attribution** is which pixels drive a class's score "
        "through the whole network. The two need not agree: the rank correlation ρ says how far they do. Choose a "
        "point to explain it."
    )
    if maps and not ranked:
        st.caption("Rank correlations are computed for the bundled models only.")
    if not maps:
        title = escape_markdown(short_title(model))
        st.info(f"{title} has no map from place to place, so there is no attention to compare with.")
    with st.expander("What the methods compute"):
        st.markdown("$z$ is the score: the class's logit, before the softmax, averaged over the chosen places.")
        st.markdown("\n".join(f"- **{row.title}** ({row.paper}). {HELP[name]}" for name, row in METHODS.items()))
        st.markdown(f"**Rank correlation** {RANK}")


workbench()
