"""Compare: predictions of any models side by side, where they disagree, how sure they are, and how good."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.catalogue.own_models import own_models
from segviz.data.classes import ClassSet
from segviz.evaluation.evaluate import class_iou
from segviz.evaluation.metrics import Confusion, confusion
from segviz.figures.disagreement_panel import DIFFERENT_CLASSES, MEASURES, disagreement_panel
from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Place
from segviz.results.charts import class_bars, confusion_heatmap
from segviz.results.markdown import join_names
from segviz.results.tables import class_table, confusion_table, training_title
from segviz.text import escape_markdown, percent_text
from segviz.ui.charts import csv_button, show_chart
from segviz.ui.first_compared import choose_first
from segviz.ui.first_sight import first_disputed, why_first_disputed
from segviz.ui.ground_truth import Truth, ask_for_labels, pick_ground_truth
from segviz.ui.lead_to import lead_to
from segviz.ui.models import model_title, offered_models, predict_or_stop, short_title
from segviz.ui.network_answer import watch_network
from segviz.ui.page_address import keep_page_address
from segviz.ui.page_table import ROWS
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import current_picture
from segviz.ui.prediction_panels import confidence_panel, prediction_panel
from segviz.ui.show_viewer import show_viewer
from segviz.ui.state import FirstCompared, session
from segviz.ui.tables import ColumnHead, show_table
from segviz.ui.widgets import KeptWidget, keep_widget, take_linked
from segviz.viewer.panel import Panel
from segviz.viewer.panels_of_maps import labels_panel, select_same_classes

PAGE = "compare"
START = ("channel_nl", "spatial_nl", "dual_nl", "fla")
TRUTH = "Truth"
SWIPE, DISAGREEMENT, PREDICTIONS, CONFIDENCE = PARTS = ("Swipe", "Disagreement", "Predictions", "Confidence")
START_PARTS = [SWIPE, DISAGREEMENT, PREDICTIONS]
SIDES = ("Left of the divider", "Right of the divider")


def first_models(picture: Picture) -> FirstCompared:
    """The models that the page begins with; they stay for the session, or until networks are asked again."""
    state, bundled = session(), [name for name in START if name in available_models()]
    if state.first_compared is None and ROWS[PAGE].models_key in st.session_state:  # as a link says
        return FirstCompared(bundled)
    state.first_compared = state.first_compared or choose_first(picture, bundled)
    return state.first_compared


def ask_networks_again() -> None:
    """Have the next run ask one's own networks as at the page's first."""
    session().first_compared = None
    st.session_state.pop(ROWS[PAGE].models_key, None)


def predict_one(name: str, picture: Picture, count: str) -> Labelled | None:
    """A model's classes; None, with a sentence, for a network of one's own that cannot run or has no classes."""
    if name not in own_models():
        return predict_or_stop(name, picture, count)
    answer = watch_network(name, picture)
    if answer is not None and answer.classes is None:
        st.info(escape_markdown(f"{short_title(name)} has no classes, so it takes no part in the comparison."))
        lead_to("inspect", f"What {escape_markdown(short_title(name))} shows")
    return None if answer is None else answer.classes


def find_class_sets(predictions: Mapping[str, Labelled]) -> list[ClassSet]:
    """The models' classes, those that most of them have first."""
    sets = {one.class_set.names: one.class_set for one in predictions.values()}
    counted = Counter(one.class_set.names for one in predictions.values())
    return [sets[names] for names, _ in counted.most_common()]


def describe_class_sets(maps: Mapping[str, Panel]) -> str:
    """Which models have other classes than most of them and the truth, and what can be shown of the others."""
    same = select_same_classes(maps)
    if len(same) == 1:
        return "No two of these models have the same classes, so no panel shows where they differ."
    others = [name for name in maps if name not in same]
    verb = "has" if len(others) == 1 else "have"
    rest = f"disagreement can be shown only among {join_names(same, option_title)}"
    return f"{join_names(others, option_title)} {verb} other classes, so {rest}."


def score_predictions(predictions: Mapping[str, Labelled], truth: Truth | None) -> dict[str, Confusion]:
    """Each model's confusions with the truth; a model of other classes has none."""
    if truth is None:
        return {}
    names = truth.classes.names
    known = {name: one for name, one in predictions.items() if one.class_set.names == names}
    return {name: confusion(truth.labels, one.labels, len(names)) for name, one in known.items()}


def class_panels(
    predictions: Mapping[str, Labelled], truth: Truth | None, scores: Mapping[str, Confusion]
) -> dict[str, Panel]:
    """A panel of classes for each model, and for the truth if there is one; they share one legend."""
    notes = {name: f"mIoU {percent_text(score.mean_iou, 1)} on this picture" for name, score in scores.items()}
    panels = {name: prediction_panel(one, short_title(name), notes.get(name, "")) for name, one in predictions.items()}
    if truth is not None:
        panels[TRUTH] = labels_panel(truth.labels, truth.classes, TRUTH, truth.note)
    return {name: replace(panel, legend=False) for name, panel in panels.items()}


def pick_panels(predictions: Mapping[str, Labelled], maps: Mapping[str, Panel]) -> list[Panel]:
    """The panels of the parts that the reader chooses: what compares two or more maps first, and wide."""
    several, panels = len(maps) > 1, []
    parts = st.pills(
        "Show",
        PARTS,
        selection_mode="multi",
        wrap=True,
        **keep_widget("compare parts", list(START_PARTS), linked=PARTS),
    )
    if SWIPE in parts and several:
        panels += swipe(maps)
    if DISAGREEMENT in parts and several:
        panels += disagreement(maps)
    if PREDICTIONS in parts:
        panels += maps.values()
    if CONFIDENCE in parts:
        panels += [confidence_panel(one, f"Confidence: {short_title(name)}") for name, one in predictions.items()]
    return panels


@st.fragment
def show_compared(picture: Picture, panels: list[Panel], rest: Place, why: str) -> None:
    """A pin runs this part alone."""
    show_viewer(picture, panels, page=PAGE, columns=3, rest=rest, why=why)


def disagreement(panels: Mapping[str, Panel]) -> list[Panel]:
    """Where a set of models, or of models and the truth, disagree; at first all models."""
    key, maps, state = "compare between", select_same_classes(panels), session()
    left_out = state.left_out = {TRUTH} if state.left_out is None else state.left_out

    def leave_out() -> None:
        left_out.difference_update(maps)
        left_out.update(set(maps) - set(st.session_state[key]))

    if take_linked(key, [name for name in maps if name != TRUTH], maps):
        leave_out()
    st.session_state[key] = [name for name in maps if name not in left_out]  # so a model that is new takes part
    voters = st.multiselect(
        "Disagreement between", maps, format_func=option_title, key=key, on_change=leave_out, wrap=True
    )
    measure = st.segmented_control(
        "Disagreement shown as",
        MEASURES,
        required=True,
        **keep_widget("compare measure", DIFFERENT_CLASSES, linked=MEASURES),
    )
    labels = [maps[name].labels for name in voters]
    if len(labels) < 2:
        return []
    count = len(labels) - (TRUTH in voters)
    whose = f"{'model' if count == 1 else f'{count} models'}{' and the truth' if TRUTH in voters else ''}"
    return [replace(disagreement_panel(labels, measure or DIFFERENT_CLASSES, whose), wide=True)]


def swipe(maps: Mapping[str, Panel]) -> list[Panel]:
    """Two maps beside a divider; at first those of the two models that differ in most pixels."""
    names, first = list(maps), most_different(maps)
    left, right = (
        column.selectbox(
            label, names, format_func=option_title, **keep_widget(f"compare side {at}", first[at], names, linked=names)
        )
        for at, (column, label) in enumerate(zip(st.columns(2), SIDES, strict=True))
    )
    note = "drag the divider, or move it with the arrow keys"
    return [Panel("Swipe", None, "swipe", note=note, sides=(maps[left], maps[right]), wide=True, legend=False)]


def most_different(maps: Mapping[str, Panel]) -> tuple[str, str]:
    """The two models that differ in most pixels, in their order; the first two maps where no two can be compared.

    A network of one's own is one of them.
    """
    labels = {name: one.labels[::2, ::2] for name, one in select_same_classes(maps).items() if name != TRUTH}
    own = [name for name in maps if name in own_models()][:1]
    pairs = [pair for pair in combinations(labels, 2) if {*own} <= {*pair}]
    pairs = pairs or [pair for pair in combinations(maps, 2) if {*own} <= {*pair}][:1]
    left, right = max(pairs, key=lambda pair: float(np.mean(labels.get(pair[0]) != labels.get(pair[1]))))
    return left, right


def option_title(name: str) -> str:
    """A model, or the truth, in lists of choice."""
    return TRUTH if name == TRUTH else training_title(name)


def show_scores(scores: Mapping[str, Confusion], classes: tuple[str, ...]) -> None:
    """IoU by class as bars and as a table, with the mean."""
    st.header("IoU by class on this picture")
    shares = {name: class_iou(one, classes) for name, one in scores.items()}
    bars = class_bars(shares, classes, "IoU (%)")
    show_chart(bars, "compare-iou", "IoU by class on this picture, one bar per model")
    values = class_table(shares, classes)
    means = {training_title(name): round(100 * one.mean_iou, 2) for name, one in scores.items()}
    rows = {head: [*column, means.get(head, "Mean")] for head, column in values.items()}
    heads = [ColumnHead(training_title(name), format="%.2f") for name in scores]
    show_table(rows, heads, "IoU by class in percent, and the mean")
    csv_button(rows, "compare-iou")
    st.caption(
        "In percent; void pixels are left out. – marks a class that is neither in the truth nor predicted: it has no "
        "IoU and does not count in the mean. 0 marks a class that is in one of the two, but nowhere in both."
    )


def keep_confusion(scores: Mapping[str, Confusion]) -> KeptWidget:
    """The arguments of the choice of a confusion matrix."""
    return keep_widget("compare confusion", next(iter(scores)), scores, linked=scores)


@st.fragment
def show_confusions(scores: Mapping[str, Confusion], classes: tuple[str, ...]) -> None:
    """One model's confusion matrix."""
    st.header("Confusions on this picture")
    name = st.selectbox("Model", scores, format_func=model_title, **keep_confusion(scores))
    keep_page_address(PAGE, "confusions")
    counts = scores[name].matrix.tolist()
    st.caption(
        "Percent of the true class's pixels; – where the class is not in the truth. Cells below 0.5 stay empty. Point "
        "at a cell for its count."
    )
    slug = f"compare-confusion-{name}"
    alt = f"Confusion matrix of {training_title(name)} on this picture"
    show_chart(confusion_heatmap(counts, classes), slug, alt, width=720)
    csv_button(confusion_table(counts, classes), slug)


st.title("Compare predictions")
picture = current_picture()
available = offered_models()
if not available:
    st.error("The checkpoints folder has no trained checkpoint; restore the bundled ones or train one.")
    st.stop()
settings = st.container(horizontal=True)
first = first_models(picture)
with settings.popover("Models"):
    names = st.multiselect(
        "Models", available, format_func=model_title, **keep_widget(ROWS[PAGE].models_key, first.models, available)
    )
if first.left_out and names == first.models:
    st.caption(escape_markdown(first.left_out))
    if not first.settled:
        st.button(
            "Ask again", key="again first models", icon=":material/refresh:", on_click=ask_networks_again,
            help="Asks the networks that gave no answer once more",
        )  # fmt: skip
if not names:
    st.info("Choose at least one model.")
    st.stop()
answers = {name: predict_one(name, picture, f"{at} of {len(names)}") for at, name in enumerate(names, start=1)}
predictions = {name: one for name, one in answers.items() if one is not None}
if not predictions:
    st.stop()
class_sets = find_class_sets(predictions)
truth = pick_ground_truth(picture, class_sets, settings)
scores = score_predictions(predictions, truth)
if scores:
    keep_confusion(scores)  # as a link says, before the part of the page that has its button
compared = class_panels(predictions, truth, scores)
with settings.popover("Panels"):
    panels = pick_panels(predictions, compared)
if len(class_sets) > 1:
    st.caption(escape_markdown(describe_class_sets(compared)))
if panels:
    same = select_same_classes(compared)
    voters = [one for name, one in predictions.items() if name in same] or list(predictions.values())
    show_compared(picture, panels, first_disputed(voters, picture), why_first_disputed(voters, picture))
else:
    st.info("Choose what to show.")
if truth and scores:
    show_scores(scores, truth.classes.names)
    show_confusions(scores, truth.classes.names)
elif truth:
    st.caption("The labels use different classes from these models, so there are no scores.")
else:
    st.caption(ask_for_labels(picture))
