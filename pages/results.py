"""Results: what the checkpoints say of themselves. No model runs here; the records and logs are read on every visit."""

import streamlit as st

from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import SCENES, VAL
from segviz.results.charts import PAPER_FOUR, class_bars, confusion_heatmap, curve_lines
from segviz.results.findings import context_finding
from segviz.results.folder import BASELINE, as_json, read_results
from segviz.results.sentences import describe_scores, table_notes
from segviz.results.tables import (
    class_table,
    confusion_table,
    curves_table,
    models_table,
    select_columns,
    training_title,
)
from segviz.text import escape_markdown, join_with_commas
from segviz.ui.charts import as_csv, chart, model_name, pick_format, pick_models
from segviz.ui.permalink import Link, copy_button
from segviz.ui.tables import show_table
from segviz.viewer.display import Display

MEASURES = {
    "Val": (VAL, "iou", "IoU on val (%)"),
    "Drawn scenes": (SCENES, "iou", "IoU on drawn scenes (%)"),
    "Val, at borders": (VAL, "boundary_iou", "boundary IoU on val (%)"),
}  # by its name: the evaluation, its field, and the axis
REPRODUCE = "python -m segviz evaluate --model fla --data camvid --multi-scale --without-context"

st.title("Results")
with st.container(horizontal_alignment="right"):
    copy_button(Link(), "results", Display())
results = read_results(checkpoints_folder())
if not results.runs:
    cause = " ".join(results.problems) or f"No trained checkpoint is in {checkpoints_folder()}; restore or train one."
    st.error(escape_markdown(cause))
    st.stop()
for problem in results.problems:
    st.warning(escape_markdown(problem))
records = results.records


def models() -> None:
    """The table of models, and what its numbers need beside them."""
    st.header("Models")
    columns, values = select_columns(results.runs), models_table(results.runs)
    show_table(values, columns, "Scores and costs of the models")
    as_csv(values, "models")
    st.markdown(context_finding(results.runs, training_title))
    for note in table_notes(records):
        st.caption(note)
    if results.missing:
        st.caption(f"Without a readable checkpoint: {join_with_commas(map(training_title, results.missing))}.")
    with st.expander("What the columns mean"):
        st.markdown("\n".join(f"- **{column.title}**: {column.meaning}" for column in columns))


@st.fragment
def classes() -> None:
    """IoU by class."""
    st.header("IoU by class")
    names = pick_models("Models", records, PAPER_FOUR, "results bars")
    measure = st.segmented_control("Measured on", tuple(MEASURES), default="Val", required=True, key="results measure")
    evaluation, field, axis = MEASURES[measure]
    scores = {
        name: getattr(records[name].evaluations[evaluation], field)
        for name in names
        if evaluation in records[name].evaluations
    }
    if without := [training_title(name) for name in names if name not in scores]:
        st.caption(f"Not measured: {join_with_commas(without)}.")
    if not scores:
        st.info("Choose a model that was measured.")
        return
    occurring = list(dict.fromkeys(one for name in scores for one in records[name].classes))
    slug = f"{field.replace('_', '-')}-{evaluation}"
    chart(class_bars(scores, occurring, axis), slug, f"{axis} by class, a bar a model")
    as_csv(class_table(scores, occurring), slug)


@st.fragment
def confusions() -> None:
    """One model's confusion matrix."""
    st.header("Confusions")
    left, right = st.columns(2)
    start = "fla" if "fla" in records else next(iter(records))
    name = left.selectbox("Model", records, list(records).index(start), format_func=model_name, key="results confusion")
    made = records[name].evaluations
    if not made:
        command = f"python -m segviz evaluate --model {name} --data camvid --record"
        st.info(f"{training_title(name)} was not evaluated; `{command}` scores it and keeps that in its checkpoint.")
        return
    evaluation = right.selectbox("Measured on", made, list(made).index(VAL) if VAL in made else 0, key="results on")
    counts, labels = made[evaluation].confusion, records[name].classes
    slug = f"confusion-{name}-{'-'.join(evaluation.replace(',', '').split())}"
    st.caption(
        "Percent of the true class's pixels; nothing is written where it is less than 0.5. Counts: point at a cell."
    )
    chart(confusion_heatmap(counts, labels), slug, f"Confusion matrix of {training_title(name)}", width=720)
    as_csv(confusion_table(counts, labels), slug)


@st.fragment
def curves() -> None:
    """Loss and val mIoU while training."""
    st.header("Learning curves")
    if without := [training_title(name) for name in records if name not in results.curves]:
        st.caption(f"No learning curve that can be read lies beside the checkpoint of: {join_with_commas(without)}.")
    if not results.curves:
        return
    names = pick_models("Trainings", results.curves, (BASELINE, *PAPER_FOUR), "results curves")
    if not names:
        st.info("Choose one training or more.")
        return
    shown = {name: results.curves[name] for name in names}
    left, right = st.columns(2)
    with left:
        chart(curve_lines(shown, "loss", "training loss"), "loss", "Training loss by step, a line a model")
    with right:
        chart(curve_lines(shown, "val_miou", "val mIoU (%)"), "val-miou", "Val mIoU by step, a line a model")
    as_csv(curves_table(shown), "learning-curves")


st.markdown(describe_scores(results.runs))
models()
pick_format()
classes()
confusions()
curves()
st.header("Data and reproduction")
st.download_button(
    "All records and curves as JSON",
    as_json(results),
    "segviz-results.json",
    "application/json",
    icon=":material/download:",
    on_click="ignore",
)
st.markdown("The numbers come from inside the checkpoints. This measures one again (`--record` would keep it there):")
st.code(REPRODUCE, language=None, wrap_lines=True)
st.markdown("How each checkpoint was trained, command by command, stands in `checkpoints/MODELS.md`.")
