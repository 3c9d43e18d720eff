"""Attribution: which pixels drive a class's score, by Captum's methods, beside what the block attends to."""

import streamlit as st

from segviz.attention.rank_correlation import correlations_in_words
from segviz.attention.region import Region
from segviz.attribution import METHODS, Attribution
from segviz.catalogue.own_models import own_models
from segviz.engine import Attribute
from segviz.figures.attribution_table import (
    HELP,
    AttributionNumbers,
    attribution_columns,
    completeness_warning,
    rank_correlations,
)
from segviz.prediction.prediction import Place
from segviz.text import escape_markdown, pixel_text
from segviz.ui.attribution_answers import Questions, collect_answers, why_stopped
from segviz.ui.attribution_controls import pick_methods, pick_target, why_no_target
from segviz.ui.attribution_numbers import RANK, show_attribution_numbers, show_last_numbers
from segviz.ui.explained_model import SeenPart, detail_words, explain_bundled, explain_network, see_part
from segviz.ui.first_sight import FIRST_MODEL
from segviz.ui.map_help import show_worth
from segviz.ui.models import offered_models, pick_model, short_title
from segviz.ui.page_table import ROWS
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.pins import choose_pin, current_pins
from segviz.ui.prediction_panels import prediction_panel
from segviz.ui.show_viewer import show_viewer
from segviz.viewer.panel import Panel, ScalarMap

PAGE = "attribution"
heading = st.container(key="heading", horizontal=True, vertical_alignment="bottom")
heading.title("Which pixels drive this class?")
picture = current_picture()
with heading:
    model = pick_model("Model", offered_models(), FIRST_MODEL, ROWS[PAGE].models_key)
explained = explain_network(model, picture, heading) if model in own_models() else explain_bundled(model, picture)
prediction, layer, rest = explained.prediction, explained.layer, explained.rest


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
        part = see_part(explained, picture, place if target is None else target.pixel)
    answers, stopped = dict[str, Attribution](), dict[str, str]()
    if target is None:
        messages.info(why_no_target(prediction, place))
    else:
        in_crop = part.region is not None
        ops = {name: Attribute(name, target, options, layer, in_crop) for name in methods}
        questions = Questions(model, picture, ops, part.size)
        answers = collect_answers(questions, controls, messages)
        stopped = {name: why_stopped(questions, name) for name in methods}
    region = part.region or Region(0, 0, *picture.size)
    seen = region.inside(place), region.size
    ranks = {name: rank_correlations(one, part.maps, *seen) for name, one in answers.items()}
    panels = [prediction_panel(prediction), *attention_panels(part, place, pin)]
    panels += [
        attribution_panel(answers[name], correlations_in_words(ranks[name]), pin)
        if name in answers
        else blank_panel(name, part, stopped.get(name, ""))
        for name in methods
    ]
    beside = 2 if len(panels) <= 4 else 3
    show_viewer(picture, panels, page=PAGE, columns=beside, chosen=pin, rest=rest, why=explained.why)
    if target is not None and answers:
        sentence = score_sentence(next(iter(answers.values())), place)
        warnings = tuple(filter(None, map(completeness_warning, answers.values())))
        columns = attribution_columns(methods, answers, ranks)
        show_attribution_numbers(AttributionNumbers((model, picture.digest), sentence, warnings, columns))
    elif target is not None:
        show_last_numbers((model, picture.digest))
    if part.maps:
        show_worth(model)  # below: the maps come first
    show_help(part)


def attention_panels(part: SeenPart, place: Place, pin: int | None) -> list[Panel]:
    """Where the block looks from the point."""
    note = "what the point draws from each place"
    return [
        Panel(
            f"Attention ({one.name})", one, "attends_to", at=place, pin=pin, note=note, model=model, region=part.region
        )
        for one in part.maps
    ]


def blank_panel(name: str, part: SeenPart, changed: str) -> Panel:
    """The bare picture, in place of a map that is not computed yet, or whose work was stopped by a change."""
    note = f"stopped, as the {changed} changed" if changed else "not computed yet"
    return Panel(method_title(name), None, "plain", note=note, pending=True, region=part.region)


def method_title(name: str) -> str:
    """A method's name for people, with the layer that it reads."""
    title = METHODS[name].title
    return title.replace("the block's", f"{layer}'s") if layer else title


def attribution_panel(answer: Attribution, note: str, pin: int | None) -> Panel:
    """A method's map, framed in the pin's colour where the score is taken at that point."""
    values = ScalarMap(answer.values, METHODS[answer.method].counts, answer.signed)
    own = pin if answer.target.pixel is not None else None
    return Panel(
        answer.title, values, "values", at=answer.target.pixel, pin=own, note=note, model=model, region=answer.region
    )


def score_sentence(answer: Attribution, place: Place) -> str:
    """Which score is explained, and its value, in Markdown."""
    target = answer.target
    name = escape_markdown(prediction.classes[target.class_index])
    over = f"at {pixel_text(*place)}"
    if answer.region is not None:
        over += ", in the crop around it"
    if target.pixel is None:
        over = "on average over the picture" if target.mask is None else f"on average over all pixels of {name}"
    return f"the logit of **{name}** {over}, which is **{answer.score:.2f}**"


def show_help(part: SeenPart) -> None:
    """What is shown, and what the numbers mean."""
    agree = " The two need not agree: the rank correlation ρ says how far they do." if part.maps else ""
    st.caption(
        "**Attention** is what the block reads at a point. **Attribution** is which pixels drive a class's score "
        f"through the whole network.{agree} Choose a point to explain it."
    )
    if explained.crops is not None:
        st.caption(escape_markdown(crop_words(part)))
    if explained.shown is not None and (words := detail_words(short_title(model), explained.shown, part.size)):
        st.caption(escape_markdown(words))
    if not part.maps:
        title = escape_markdown(short_title(model))
        st.info(f"{title} has no map from place to place, so there is no attention to compare with.")
    with st.expander("What the methods compute"):
        st.markdown("$z$ is the score: the class's logit, before the softmax, averaged over the chosen places.")
        st.markdown("\n".join(f"- **{row.title}** ({row.paper}): {HELP[name]}" for name, row in METHODS.items()))
        st.markdown(f"**Rank correlation**: {RANK}")


def crop_words(part: SeenPart) -> str:
    """What a network that sees crops sees of the picture here, and why."""
    title = short_title(model)
    if part.region is not None:
        return (
            f"{title} sees the picture in crops, as its authors show it. Score, attributions and attention at a point "
            f"are those of the crop around it: {part.region}."
        )
    return (
        f"{title} sees the picture whole here, not in crops as its authors show it: over several crops, its answer is "
        "an average of probabilities, which has no logit to explain. Take the score at a point to see a crop."
    )


workbench()
