"""Results: the records in the checkpoints, and the training logs. No model runs here; both are read on every visit."""

import streamlit as st

from segviz.catalogue.context_worth import NO_LOSS, OWN_SCORE
from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import SCENES, VAL
from segviz.results.answer_charts import context_chart, cost_chart
from segviz.results.charts import PAPER_FOUR, confusion_heatmap, curve_lines, val_curves
from segviz.results.class_differences import class_differences
from segviz.results.findings import context_findings
from segviz.results.folder import BASELINE, as_json, read_results
from segviz.results.how_trained import measure_command
from segviz.results.map_charts import map_chart
from segviz.results.map_ranges import MAP_RANGES
from segviz.results.sentences import describe_scored_once, describe_scores, open_results, table_notes
from segviz.results.tables import (
    class_table,
    confusion_table,
    curves_table,
    models_table,
    select_columns,
    training_title,
)
from segviz.results.where_blocks_look import (
    EXPLANATION,
    MAP_COLUMNS,
    QUESTION,
    block_maps,
    describe_maps,
    maps_table,
)
from segviz.text import escape_markdown, join_with_commas
from segviz.ui.charts import csv_button, model_name, pick_format, pick_models, show_chart
from segviz.ui.page_address import copy_page_link, keep_page_address
from segviz.ui.tables import explain_columns, show_table
from segviz.ui.widgets import keep_widget

PAGE = "results"
MEASURES = {
    "Val": (VAL, "iou", "IoU on val (%)"),
    "Drawn scenes": (SCENES, "iou", "IoU on drawn scenes (%)"),
    "Val, at borders": (VAL, "boundary_iou", "boundary IoU on val (%)"),
}  # by name: the evaluation, its field, and the axis

heading = st.container(key="heading", horizontal=True, vertical_alignment="center")
heading.title("Results")
results = read_results(checkpoints_folder())
if not results.runs:
    empty = f"{checkpoints_folder()} has no trained checkpoint; restore the bundled ones or train one."
    st.error(escape_markdown(" ".join(results.problems) or empty))
    st.stop()
for problem in results.problems:
    st.warning(escape_markdown(problem))
records = results.records


def show_answers() -> None:
    """Which models need their context, and what each network costs."""
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Which models need their context?")
        if (chart := context_chart(results.runs)) is not None:
            show_chart(chart, "context", "Change of val mIoU without the block's context, one dot per model")
            st.caption(
                "What switching the block's context off changes. A dot is the mean of several seeds, its bar their "
                f"standard deviation; a grey dot is {OWN_SCORE}, of unknown spread. A hollow dot lies within its own "
                f"spread, so it says nothing. A full dot inside the grey band (within {NO_LOSS:g} points) or to its "
                "right says that val does not need the context."
            )
        st.markdown("\n".join(f"- {sentence}" for sentence in context_findings(results.runs, training_title)))
    costs = {name: one.cost for name, one in records.items() if one.cost is not None}
    if (chart := cost_chart(costs)) is not None:
        with right:
            st.header("What do they cost?")
            show_chart(chart, "cost", "Operations for one picture, one bar per model")
            st.caption(
                "Operations of the whole network are counted, so they have no spread. Measured time and memory are in "
                "the table below; point at a bar for its own."
            )


def show_models() -> None:
    """The table of models, and notes on its numbers."""
    st.header("Models")
    columns, values = select_columns(results.runs), models_table(results.runs)
    show_table(values, columns, "Scores and costs of the models")
    csv_button(values, "models")
    for note in table_notes(records):
        st.caption(note)
    if results.missing:
        st.caption(f"Without a readable checkpoint: {join_with_commas(map(training_title, results.missing))}.")
    explain_columns(columns)


def show_maps() -> None:
    """Where the blocks look: charts, a sentence for each, and the table."""
    st.header(QUESTION)
    maps = block_maps(results.runs)
    if maps:
        st.caption(
            f"{EXPLANATION} Dots are the trained maps on val ({OWN_SCORE}), bars even weights, crosses random ones; "
            "the shaded range is where a map shows something, by a rule of thumb of this project: a map outside it may "
            "look much the same at any point, or pass over classes. *Out of range* below means outside of it."
        )
        for limits, column in zip(MAP_RANGES, [*st.columns(2), *st.columns(2)], strict=True):
            with column:
                show_chart(map_chart(maps, limits), f"maps-{limits.field}", f"“{limits.title}” of each block's map")
                st.caption(f"**{limits.title}.** {limits.meaning} Shaded: {limits.words()}.")
    st.markdown("\n".join(f"- {sentence}" for sentence in describe_maps(results.runs)))
    if maps:
        values = maps_table(results.runs)
        show_table(values, MAP_COLUMNS, "Numbers of each block's maps")
        csv_button(values, "maps")
        explain_columns(MAP_COLUMNS)


@st.fragment
def show_classes() -> None:
    """IoU by class."""
    st.header("IoU by class")
    st.caption(f"Of each model: {OWN_SCORE}.")
    names = pick_models("Models", records, PAPER_FOUR, "results bars")
    kept = keep_widget("results measure", "Val", linked=MEASURES)
    measure = st.segmented_control("Measured on", MEASURES, required=True, **kept)
    keep_page_address(PAGE, "classes")
    evaluation, field, axis = MEASURES[measure or "Val"]
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
    show_chart(class_differences(scores, occurring, axis), slug, f"{axis} by class, for each model")
    csv_button(class_table(scores, occurring), slug)


@st.fragment
def show_confusions() -> None:
    """One model's confusion matrix."""
    st.header("Confusions")
    left, right = st.columns(2)
    start = "fla" if "fla" in records else next(iter(records))
    kept = keep_widget("results confusion", start, records, linked=records)
    name = left.selectbox("Model", records, format_func=model_name, **kept)
    evaluations = records[name].evaluations
    if not evaluations:
        command = f"python -m segviz evaluate --model {name} --data camvid --record"
        st.info(f"{training_title(name)} was not evaluated; `{command}` scores it and records that in its checkpoint.")
        keep_page_address(PAGE, "confusions")
        return
    first = VAL if VAL in evaluations else next(iter(evaluations))
    kept = keep_widget("results on", first, evaluations, linked=evaluations)
    evaluation = right.selectbox("Measured on", evaluations, **kept)
    keep_page_address(PAGE, "confusions")
    counts, labels = evaluations[evaluation].confusion, records[name].classes
    slug = f"confusion-{name}-{'-'.join(evaluation.replace(',', '').split())}"
    st.caption(
        f"Percent of the true class's pixels ({OWN_SCORE}); cells below 0.5 stay empty. Point at a cell for its count."
    )
    show_chart(confusion_heatmap(counts, labels), slug, f"Confusion matrix of {training_title(name)}", width=720)
    csv_button(confusion_table(counts, labels), slug)


@st.fragment
def show_curves() -> None:
    """Training loss and val mIoU by step."""
    st.header("Learning curves")
    if without := [training_title(name) for name in records if name not in results.curves]:
        st.caption(f"No readable learning curve beside the checkpoint of: {join_with_commas(without)}.")
    if not results.curves:
        return
    names = pick_models("Trainings", results.curves, (BASELINE, *PAPER_FOUR), "results curves")
    keep_page_address(PAGE, "curves")
    if not names:
        st.info("Choose one or more trainings.")
        return
    shown = {name: results.curves[name] for name in names}
    scored = val_curves(shown)
    left, *right = st.columns(2) if scored else [st.container()]
    with left:
        show_chart(curve_lines(shown, "loss", "training loss"), "loss", "Training loss by step, one line per model")
    for column in right:
        with column:
            figure = curve_lines(scored, "val_miou", "val mIoU (%)")
            show_chart(figure, "val-miou", "Val mIoU by step, one line per model")
    if sentence := describe_scored_once(shown):
        st.caption(sentence)
    csv_button(curves_table(shown), "learning-curves")


st.markdown(open_results(results.runs))
with st.expander("How the scores were made"):
    st.markdown(describe_scores(results.runs))
show_answers()
show_models()
show_maps()
pick_format()
show_classes()
show_confusions()
show_curves()
with heading:
    copy_page_link(PAGE)
st.header("Data and reproduction")
st.download_button(
    "All records and curves as JSON",
    as_json(results),
    "segviz-results.json",
    "application/json",
    icon=":material/download:",
    on_click="ignore",
)
st.markdown(
    "The numbers are stored in the checkpoints. This command measures one again (`--record` would store it there):"
)
st.code(measure_command(records.get("fla") or next(iter(records.values()))), language=None, wrap_lines=True)
st.markdown("`checkpoints/MODELS.md` has the commands that trained each checkpoint.")
