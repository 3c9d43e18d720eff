"""Attribution: which pixels a class's score hangs on, by Captum's methods, beside what the block attends to."""

import streamlit as st

from segviz.attention.maps import SpatialMap
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
from segviz.ui.attribution_controls import Questions, answers, pick_methods, pick_options, pick_target
from segviz.ui.charts import as_csv
from segviz.ui.models import pick_model, predict
from segviz.ui.picture_sidebar import picture
from segviz.ui.session import pins
from segviz.ui.show import show
from segviz.ui.tables import Head, show_table
from segviz.viewer.panel import Panel, ScalarMap
from segviz.viewer.panels_of_prediction import prediction_panel

KEY = "attribution"
DIGITS = "%.3g"
PEAKED = ("integrated_gradients", "saliency")
HEADS = (
    Head("Smallest", "The map's smallest value.", DIGITS),
    Head("Largest", "The map's largest value.", DIGITS),
    Head("Explained", "The picture's score less the baseline's.", DIGITS),
    Head(
        "Delta",
        "Convergence delta: by how much the map's sum misses what is explained; – for methods without one.",
        DIGITS,
    ),
    Head("Baseline", "What the picture is compared with."),
)

RANK = (
    "Spearman's ρ of the attribution, averaged over the block's cells, and the attention from the point: 1 where both "
    "rank all cells alike, 0 where they have nothing to do with one another. Signed values rank as they are."
)

st.title("What does the class hang on?")
st.caption(
    "**Attention** is what the block reads at a point. **Attribution** is which pixels a class's score hangs on, "
    "through the whole network. They need not agree: the rank correlation ρ says how far they do. Click a point to "
    "explain it."
)
chosen = picture()
model = pick_model("Model", available_models(), "spatial_nl", "attribution model")
prediction = predict(model, chosen)
size = chosen.image.shape[0], chosen.image.shape[1]
maps = [one for one in prediction.maps.values() if isinstance(one, SpatialMap)]


@st.fragment
def workbench() -> None:
    """A pin or a control runs this part alone."""
    pinned = pins(KEY)
    place = (pinned[-1].y, pinned[-1].x) if pinned else (size[0] // 2, size[1] // 2)
    target = pick_target(prediction, place)
    methods, options = pick_methods(), pick_options()
    found: dict[str, Attribution] = {}
    if target is not None:
        ops = {name: Attribute(name, target, options) for name in methods}
        found = answers(Questions(model, chosen.image, ops))
    pin = len(pinned) - 1 if pinned else None
    panels = [prediction_panel(prediction), *attention_panels(place, pin)]
    ranks = {name: rank_correlations(one, maps, place, size) for name, one in found.items()}
    for name in methods:
        panels.append(attribution_panel(found[name], rank_note(ranks[name]), pin) if name in found else blank(name))
    if not set(methods).isdisjoint(PEAKED):
        st.caption(
            "A few pixels carry most of a gradient: where its map looks empty, the scale *percentile* shows the rest."
        )
    show(chosen, panels, key=KEY, columns=2 if len(panels) <= 4 else 3)
    if target is not None:
        report(found, ranks, target, place)
    explain()


def attention_panels(place: tuple[int, int], pin: int | None) -> list[Panel]:
    """Where the block looks from the point."""
    return [
        Panel(
            f"Attention ({one.name})", one, "attends_to", at=place, pin=pin, note="what the point draws from each place"
        )
        for one in maps
    ]


def blank(name: str) -> Panel:
    """The bare picture, in the place of a map to come."""
    return Panel(METHODS[name].title, None, "plain", note="not computed yet")


def attribution_panel(answer: Attribution, note: str, pin: int | None) -> Panel:
    """A method's map; of a point, so framed in its colour, where the score is taken there."""
    values = ScalarMap(answer.values, METHODS[answer.method].counts, answer.signed)
    own = pin if answer.target.pixel is not None else None
    return Panel(answer.title, values, "values", at=answer.target.pixel, pin=own, note=note)


def report(
    found: dict[str, Attribution], ranks: dict[str, dict[str, float]], target: Target, place: tuple[int, int]
) -> None:
    """The score that is explained, and the numbers of every answer."""
    answers = list(found.values())
    if not answers:
        return
    name = prediction.classes[target.class_index]
    over = f"at {pixel_text(*place)}"
    if target.pixel is None:
        over = "on average over the picture" if target.mask is None else f"on average over all pixels of {name}"
    st.markdown(f"Explained: the logit of **{name}** {over}, which is **{answers[0].score:.2f}**.")
    for sentence in filter(None, map(completeness_warning, answers)):
        st.warning(sentence, icon=":material/warning:")
    table = attribution_columns(answers, [ranks[name] for name in found])
    ranked = (Head(title, RANK, "%.2f") for title in table if title.startswith("ρ"))
    show_table(table, (*HEADS, *ranked), "Each attribution's numbers")
    as_csv(table, "attribution")


def explain() -> None:
    """What stands behind the numbers."""
    if not maps:
        st.info(f"{SPECS[model].title} has no map from place to place, so no attention stands beside the attributions.")
    with st.expander("What the methods compute"):
        st.markdown("$z$ is the score: the class's logit, before the softmax, averaged over the places chosen above.")
        st.markdown("\n".join(f"- **{row.title}** ({row.paper}). {HELP[name]}" for name, row in METHODS.items()))
        st.markdown(f"**Rank correlation** {RANK}")


workbench()
