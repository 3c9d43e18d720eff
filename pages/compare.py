"""Compare: predictions of any models side by side, where they disagree, how sure they are, and how good."""

from collections.abc import Mapping

import streamlit as st

from segviz.catalogue.bundled import available_models
from segviz.data.classes import CAMVID
from segviz.evaluation.evaluate import class_iou
from segviz.evaluation.metrics import Confusion, confusion
from segviz.models.registry import SPECS
from segviz.prediction.prediction import Prediction
from segviz.results.charts import class_bars, confusion_heatmap
from segviz.results.tables import class_table, confusion_table, training_title
from segviz.ui.charts import as_csv, chart
from segviz.ui.ground_truth import Truth, ground_truth
from segviz.ui.models import model_title, predict
from segviz.ui.picture_sidebar import Picture, picture
from segviz.ui.show import show
from segviz.ui.tables import Head, show_table
from segviz.viewer.panel import Panel
from segviz.viewer.panels_of_prediction import (
    ANSWERS,
    MEASURES,
    confidence_panel,
    disagreement_panel,
    labels_panel,
    of_same_classes,
    prediction_panel,
)

KEY = "compare"
START = ("channel_nl", "spatial_nl", "dual_nl", "fla")
TRUTH = "Truth"
PREDICTIONS, CONFIDENCE, DISAGREEMENT, SWIPE = PARTS = ("Predictions", "Confidence", "Disagreement", "Swipe")
LEFT_OUT = "compare left out"  # of the disagreement


def scores_of(predictions: Mapping[str, Prediction], truth: Truth | None) -> dict[str, Confusion]:
    """Each model's confusions with the truth; a model of other classes has none."""
    if truth is None:
        return {}
    known = {name: one for name, one in predictions.items() if one.classes == CAMVID.names}
    return {name: confusion(truth.labels, one.labels, len(one.classes)) for name, one in known.items()}


def maps_of(
    predictions: Mapping[str, Prediction], truth: Truth | None, scores: Mapping[str, Confusion]
) -> dict[str, Panel]:
    """A panel of classes for each model, and for the truth where it is known."""
    notes = {name: f"mIoU {score.mean_iou:.1%} on this picture" for name, score in scores.items()}
    panels = {name: prediction_panel(one, SPECS[name].title, notes.get(name, "")) for name, one in predictions.items()}
    return panels if truth is None else {**panels, TRUTH: labels_panel(truth.labels, CAMVID, TRUTH, truth.note)}


@st.fragment
def viewer(chosen: Picture, predictions: Mapping[str, Prediction], maps: Mapping[str, Panel]) -> None:
    """What is shown, and the viewer: another side of the divider runs this part alone."""
    start, several = [part for part in PARTS if part != CONFIDENCE], len(maps) > 1
    above, key = st.container(horizontal=True), "compare parts"
    with above:
        parts = st.pills(
            "Show", PARTS, selection_mode="multi", default=start, key=key, wrap=True, persist_state="session"
        )
    panels = list(maps.values()) if PREDICTIONS in parts else []
    if DISAGREEMENT in parts and several:
        panels += disagreement(maps)
    if SWIPE in parts and several:
        with above:
            panels += swipe(maps)
    if CONFIDENCE in parts:
        panels += [confidence_panel(one, f"Confidence: {SPECS[name].title}") for name, one in predictions.items()]
    if panels:
        mounted(chosen, panels)
    else:
        st.info("Choose what to show.")


@st.fragment
def mounted(chosen: Picture, panels: list[Panel]) -> None:
    """A pin runs this part alone."""
    show(chosen, panels, key=KEY, columns=3)


def disagreement(panels: Mapping[str, Panel]) -> list[Panel]:
    """Where a set of models, or of models and the truth, disagree; at first all models."""
    key, maps = "compare between", of_same_classes(panels)
    out = st.session_state.setdefault(LEFT_OUT, {TRUTH})

    def changed() -> None:
        out.difference_update(maps)
        out.update(set(maps) - set(st.session_state[key]))

    st.session_state[key] = [name for name in maps if name not in out]
    with st.container(horizontal=True):
        voters = st.multiselect("Disagreement between", maps, format_func=named, key=key, on_change=changed, wrap=True)
        measure = st.segmented_control(
            "Shown as", MEASURES, default=ANSWERS, required=True, key="compare measure", persist_state="session"
        )
    labels = [maps[name].labels for name in voters]
    return [disagreement_panel(labels, measure)] if len(labels) > 1 else []


def swipe(maps: Mapping[str, Panel]) -> list[Panel]:
    """Two maps beside a divider; at first those of the first two models."""
    left, right = (
        maps[st.selectbox(label, maps, first, format_func=named, key=f"compare side {first}", persist_state="session")]
        for first, label in enumerate(("Left of the divider", "Right of the divider"))
    )
    return [Panel("Swipe", None, "swipe", note="drag the divider, or move it by arrow keys", sides=(left, right))]


def named(name: str) -> str:
    """A model, or the truth, in lists of choice."""
    return TRUTH if name == TRUTH else training_title(name)


def score_charts(scores: Mapping[str, Confusion]) -> None:
    """IoU by class as bars and as a table, with the mean."""
    st.subheader("IoU by class on this picture")
    shares = {name: class_iou(one, CAMVID.names) for name, one in scores.items()}
    chart(class_bars(shares, CAMVID.names, "IoU (%)"), "compare-iou", "IoU by class on this picture, a bar a model")
    values = class_table(shares, CAMVID.names)
    means = {training_title(name): round(100 * one.mean_iou, 2) for name, one in scores.items()}
    rows = {head: [*column, means.get(head, "Mean")] for head, column in values.items()}
    heads = [Head(training_title(name), format="%.2f") for name in scores]
    show_table(rows, heads, "IoU by class in percent, and the mean")
    as_csv(rows, "compare-iou")
    st.caption(
        "In percent; void pixels are left out. – marks a class that is neither in the truth nor predicted: it has no "
        "IoU and does not enter the mean. 0 marks one that is in either of the two, but nowhere in both."
    )


@st.fragment
def confusions(scores: Mapping[str, Confusion]) -> None:
    """One model's confusion matrix."""
    st.subheader("Confusions on this picture")
    name = st.selectbox("Model", scores, format_func=model_title, key="compare confusion", persist_state="session")
    counts = scores[name].matrix.tolist()
    st.caption(
        "Percent of the true class's pixels; – where the class is not in the truth. Nothing is written where it is "
        "less than 0.5. Counts: point at a cell."
    )
    slug = f"compare-confusion-{name}"
    alt = f"Confusion matrix of {training_title(name)} on this picture"
    chart(confusion_heatmap(counts, CAMVID.names), slug, alt, width=720)
    as_csv(confusion_table(counts, CAMVID.names), slug)


st.title("Compare predictions")
chosen = picture()
available = available_models()
if not available:
    st.error("No trained checkpoint is in the checkpoints folder; restore them or train one.")
    st.stop()
st.session_state.setdefault("compare models", [name for name in START if name in available])
names = st.multiselect("Models", available, format_func=model_title, key="compare models", persist_state="session")
truth = ground_truth(chosen)
if not names:
    st.info("Choose one model or more.")
    st.stop()
predictions = {name: predict(name, chosen, f"{at} of {len(names)}") for at, name in enumerate(names, start=1)}
scores = scores_of(predictions, truth)
viewer(chosen, predictions, maps_of(predictions, truth, scores))
if scores:
    score_charts(scores)
    confusions(scores)
else:
    st.caption("Scores need labels: drawn scenes have them; for a picture of yours, give them under Ground truth.")
