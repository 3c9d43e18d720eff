"""Records and logs of a folder: what is read, what is refused in a sentence, and what tables and charts make of it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_cases import CLASSES, CONFUSION, LOG, evaluation, put, put_seed, record

from segviz.catalogue.curve import CurveError, LogRow, read_curve
from segviz.catalogue.record import SCENES, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Record
from segviz.models.registry import MODELS
from segviz.results import sentences as words
from segviz.results import tables
from segviz.results.answer_charts import cost_chart
from segviz.results.charts import class_bars, confusion_heatmap, curve_lines, model_styles, val_curves
from segviz.results.class_differences import class_differences
from segviz.results.findings import context_findings
from segviz.results.folder import BASELINE_TITLES, Results, as_json, read_results
from segviz.results.seeds import Runs, context_change, idle_contexts
from segviz.table import csv_text


def runs(*records: Record) -> Runs:
    """The records by model."""
    return {one.model: tuple(other for other in records if other.model == one.model) for one in records}


# ---- what is read ---------------------------------------------------------------------------------------


def test_a_folder_s_records_come_in_the_order_of_models(tmp_path: Path) -> None:
    put(tmp_path, record("psa"), record("fcn"), record("fla"))
    found = read_results(tmp_path)
    assert list(found.records) == ["fcn", "fla", "psa"]
    assert found.records["fla"] == record("fla")


def test_models_without_a_checkpoint_are_named(tmp_path: Path) -> None:
    put(tmp_path, *(record(name) for name in MODELS if name not in ("ema", "psa")))
    assert read_results(tmp_path).missing == ("ema", "psa")


def test_a_damaged_checkpoint_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    (tmp_path / "psa.safetensors").write_bytes(b"no tensors")
    found = read_results(tmp_path)
    assert list(found.records) == ["fla"]
    (problem,) = found.problems
    assert str(tmp_path / "psa.safetensors") in problem


def test_a_checkpoint_under_another_model_s_name_is_refused(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    (tmp_path / "fla.safetensors").rename(tmp_path / "psa.safetensors")
    found = read_results(tmp_path)
    assert not found.records
    assert "holds a 'fla' model, not 'psa'" in found.problems[0]


def test_further_seeds_follow_the_checkpoint_s_own(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    put_seed(tmp_path, record("fla", seed=7))
    found = read_results(tmp_path)
    assert found.runs == {"fla": (record("fla"), record("fla", seed=7))}
    assert found.records == {"fla": record("fla")} and found.problems == ()


def test_a_further_seed_that_cannot_be_used_is_named_and_the_others_count(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    put_seed(tmp_path, record("fla", seed=7))
    put_seed(tmp_path, record("fla", seed=8), "fla-seed6")
    put_seed(tmp_path, record("psa", seed=5))  # of a model without a checkpoint
    found = read_results(tmp_path)
    assert [one.seed for one in found.runs["fla"]] == [4, 7] and list(found.runs) == ["fla"]
    assert found.problems == (
        f"{tmp_path / 'seeds' / 'fla-seed6.json'} holds the record of fla with seed 8; rename it to match.",
    )


def test_a_log_is_read_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "fla.csv").write_text(LOG)
    assert read_curve(tmp_path / "fla.csv") == (LogRow(25, 0.5, 0.001, 0.9, None), LogRow(50, 1.0, 0.0005, 0.7, 0.61))


def test_the_baselines_logs_are_read_without_a_checkpoint(tmp_path: Path) -> None:
    for name in BASELINE_TITLES:
        (tmp_path / f"{name}.csv").write_text(LOG)
    assert list(read_results(tmp_path).curves) == ["baseline", "sam-baseline"]


BAD_LOGS = {
    "nothing": (b"", "is not a learning curve in CSV"),
    "a picture": (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not a learning curve in CSV"),
    "another table": (b"epoch,loss\n1,2\n", "has the columns epoch, loss, not step, minutes"),
    "a head alone": (b"step,minutes,rate,loss,val_miou\n", "has no rows below its header"),
    "a word": (LOG.encode() + b"75,1.5,0.0001,low,\n", "line 4: '75,1.5,0.0001,low,' is not a training step"),
    "half a line": (LOG.encode() + b"75,1.5", "line 4: '75,1.5' is not a training step"),
    "no step": (LOG.encode() + b"nan,1.5,0.0001,0.5,\n", "line 4"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_log_that_is_none_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    content, cause = BAD_LOGS[name]
    (tmp_path / "fla.csv").write_bytes(content)
    with pytest.raises(CurveError, match=r"fla\.csv") as caught:
        read_curve(tmp_path / "fla.csv")
    assert cause in str(caught.value)
    assert str(caught.value).endswith("; copy it again, or delete it")


def test_a_bad_log_leaves_the_record(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    (tmp_path / "fla.csv").write_text("?")
    found = read_results(tmp_path)
    assert list(found.records) == ["fla"] and not found.curves and len(found.problems) == 1


# ---- what is made of it ---------------------------------------------------------------------------------


def test_what_switching_the_context_off_changes_is_told_in_points() -> None:
    assert context_change([record("fla")]) == -2.0


def test_a_model_without_context_has_none_to_switch_off() -> None:
    assert context_change([record("fcn")]) is None
    assert tables.models_table(runs(record("fcn")))["Context off"] == [None]


@pytest.mark.parametrize(("without", "idle"), [(0.7009, True), (0.6991, True), (0.701, True), (0.699, False)])
def test_a_context_is_idle_unless_its_removal_costs_a_tenth_of_a_point(without: float, idle: bool) -> None:
    one = record("fla", evaluations={VAL: evaluation(0.7), VAL_WITHOUT_CONTEXT: evaluation(without)})
    assert (idle_contexts(runs(one, record("psa"))) == ("fla",)) is idle
    assert (
        "Fully attentional block can be removed" in " ".join(context_findings(runs(one), tables.training_title))
    ) is idle


def test_a_context_that_was_never_switched_off_is_named() -> None:
    told = " ".join(context_findings(runs(record("fla", evaluations={VAL: evaluation(0.7)})), tables.training_title))
    assert told == "The effect of the context was not measured for Fully attentional block."


def test_the_table_holds_the_record_s_numbers() -> None:
    table = tables.models_table(runs(record("fla")))
    expected = {
        "Model": "fla",
        "Val SS": 70.0,
        "Val MS+F": 72.0,
        "Scenes": 75.0,
        "Boundary": 40.0,
        "Context off": 68.0,
        "Difference": -2.0,
        "Over fcn": None,
        "Gamma": "-0.250",
        "GFLOPs": 9.1,
        "Parameters (M)": 2.7,
        "Memory (MiB)": 120.0,
        "Latency (ms)": 150.0,
        "Stride": 8,
        "Steps": 400,
        "Seeds": "4",
        "Scores are": "one seed",
        "Block": "Fully attentional block",
        "Paper": "FLANet, AAAI 2022",
    }
    assert {name: column[0] for name, column in table.items()} == expected


def test_gammas_of_two_branches_are_named() -> None:
    one = record("dual_nl", gammas={"block.channel.gamma": 0.5, "block.spatial.gamma": -0.1})
    assert tables.models_table(runs(one))["Gamma"] == ["channel 0.500, spatial -0.100"]


MEASURED = ("Val SS", "Val MS+F", "Scenes", "Boundary", "Context off", "Difference", "Gamma", "GFLOPs", "Memory (MiB)")


def test_what_a_record_lacks_is_left_empty() -> None:
    bare = replace(record("fla"), evaluations={}, cost=None, gammas={})
    table = tables.models_table(runs(bare))
    assert [table[name] for name in MEASURED] == [[None]] * len(MEASURED)
    assert words.table_notes({"fla": bare}) == ()


@pytest.mark.parametrize("lacking", [VAL, SCENES, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT])
def test_any_evaluation_may_be_missing(lacking: str) -> None:
    one = record("fla")
    rest = {name: found for name, found in one.evaluations.items() if name != lacking}
    found = runs(replace(one, evaluations=rest))
    assert None in [column[0] for column in tables.models_table(found).values()]
    assert "seed" in words.describe_scores(found)


def test_the_text_tells_pictures_seeds_and_machines_of_the_records() -> None:
    told = words.describe_scores(runs(record("fla"), record("psa", seed=11)))
    for part in ("CamVid val (101 pictures)", "drawn scenes (50 pictures)", "(seeds 4, 11)", "another machine"):
        assert part in told


def test_addresses_in_records_do_not_become_links() -> None:
    one = record("fla", hardware="see http://evil.example", evaluations={VAL: evaluation(0.7, data="www.evil.example")})
    shown = words.describe_scores(runs(one)) + "".join(words.table_notes({"fla": one}))
    assert "evil.example" in shown
    assert "http://" not in shown and "www.evil" not in shown


def test_without_a_second_seed_no_spread_is_told() -> None:
    told = words.describe_scores(runs(record("fla")))
    assert "from seed to seed is not known" in told and "±" not in told
    assert not [name for name in tables.models_table(runs(record("fla"))) if "±" in name]


def test_scores_are_means_over_seeds_with_their_spread_beside_them() -> None:
    other = record("fla", seed=5, evaluations={VAL: evaluation(0.72), VAL_WITHOUT_CONTEXT: evaluation(0.67)})
    found = runs(record("fla"), other, record("psa"))
    table = tables.models_table(found)
    assert (table["Val SS"], table["SS ±"]) == ([71.0, 70.0], [1.41, None])
    assert table["Val MS+F"] == [72.0, 72.0] and "MS+F ±" not in table  # of one seed alone, so there is no spread
    assert (table["Context off"], table["Difference"]) == ([67.5, 68.0], [-3.5, -2.0])
    assert table["Difference ±"] == [2.12, None]
    assert table["Seeds"] == ["4, 5", "4"]
    told = words.describe_scores(found)
    assert "several training runs (seeds 4, 5)" in told and "One seed only: Point-wise spatial attention." in told
    assert "not known" not in told


def test_a_context_that_one_seed_needs_is_not_idle() -> None:
    one, other = (
        record("fla", evaluations={VAL: evaluation(0.7), VAL_WITHOUT_CONTEXT: evaluation(without)})
        for without in (0.7, 0.69)
    )
    assert idle_contexts(runs(one)) == ("fla",) and idle_contexts(runs(one, other)) == ()


def test_camvid_is_not_spoken_of_where_another_data_set_was_used() -> None:
    one = record("fla", evaluations={VAL: evaluation(0.7, data="streets val")})
    assert "CamVid" not in words.describe_scores(runs(one)) + "".join(words.table_notes({"fla": one}))


def test_notes_tell_scales_machine_and_strides() -> None:
    told = words.table_notes({"fcn": record("fcn"), "fla": record("fla"), "sam": record("sam", output_stride=32)})
    assert told[0] == "MS+F averages the scales 0.75, 1.0, 1.25, each also mirrored."
    assert told[1] == "Memory and latency are those of one picture of 480 x 360 on a machine."
    assert told[2].startswith("Output stride is 8, but 32 for Strip attention")


def test_csv_holds_what_the_table_holds() -> None:
    columns = {"Class": ["Sky, blue", "Pole"], "FLA": [80.0, None]}
    rows = list(csv.reader(io.StringIO(csv_text(columns))))
    assert rows == [["Class", "FLA"], ["Sky, blue", "80.0"], ["Pole", ""]]


def test_json_holds_records_and_curves_even_where_a_number_is_none() -> None:
    one = record("fla", evaluations={VAL: evaluation(float("nan"), iou=dict.fromkeys(CLASSES))})
    found = json.loads(as_json(Results({"fla": (one,)}, {"fla": (LogRow(25, 0.5, 0.1, float("inf"), None),)})))
    val = found["runs"]["fla"][0]["evaluations"]["val"]
    assert val["confusion"] == [list(row) for row in CONFUSION]
    assert val["miou"] is None
    assert found["curves"]["fla"] == [{"step": 25, "minutes": 0.5, "rate": 0.1, "loss": None, "val_miou": None}]


def test_confusions_are_counted_and_shared_by_truth() -> None:
    table = tables.confusion_table(CONFUSION, CLASSES)
    rows = list(zip(*table.values(), strict=True))
    assert rows[1] == ("Sky", "Road", 10, 10.0)
    assert rows[-1] == ("Pole", "Pole", 0, None)


# ---- charts ---------------------------------------------------------------------------------------------


def test_bars_are_percent_with_a_dash_where_a_class_does_not_occur() -> None:
    (bar,) = class_bars({"fla": evaluation(0.7).iou}, CLASSES, "IoU").data
    assert list(bar.y) == pytest.approx([80, 60, 0])
    assert list(bar.text) == ["", "", "–"]
    assert list(bar.customdata) == ["80.0 %", "60.0 %", "–"]


def test_bars_keep_the_order_of_the_classes_not_of_the_scores() -> None:
    scores: dict[str, Any] = {"fla": {"Road": 0.2, "Sky": 0.9, "Pole": None}}
    (bar,) = class_bars(scores, CLASSES, "IoU").data
    assert list(bar.x) == list(CLASSES) and list(bar.y) == [90, 20, 0]


def test_models_that_are_nearly_equal_are_apart_on_the_axis() -> None:
    scores = {name: evaluation(miou).iou for name, miou in (("fla", 0.7), ("psa", 0.71))}
    figure = class_differences(scores, CLASSES, "IoU")
    fla, psa = figure.data
    assert list(fla.y) == pytest.approx([-0.5, -0.5]) and list(psa.y) == pytest.approx([0.5, 0.5])
    assert list(fla.customdata) == ["Sky: 80.0 %", "Road: 60.0 %"]
    assert figure.layout.xaxis.ticktext == ("Sky<br>80.5", "Road<br>60.5", "Pole<br>–")
    assert figure.layout.yaxis.range is None  # it follows the differences


def test_a_long_baseline_is_level_beside_short_runs() -> None:
    curves = {"baseline": (LogRow(9000, 9, 0.1, 0.5, 0.6), LogRow(12_000, 12, 0.1, 0.4, 0.7))}
    assert list(curve_lines(curves, "loss", "loss").data[0].x) == [9000, 12_000]
    curves["fla"] = (LogRow(25, 0.5, 0.1, 0.9, None), LogRow(300, 1.0, 0.1, 0.7, 0.61))
    baseline, fla = curve_lines(curves, "val_miou", "val").data
    assert (list(baseline.x), list(baseline.y)) == ([0, 300], [70, 70])
    assert "after 12,000 steps" in baseline.hovertemplate and list(fla.x) == [300]


def test_costs_are_sorted_from_zero() -> None:
    cost = record("fla").cost
    assert cost is not None
    figure = cost_chart({"fla": cost, "fcn": replace(cost, gflops=5.0)})
    assert figure is not None
    assert list(figure.data[0].x) == [9.1, 5.0]  # drawn from below
    assert figure.layout.xaxis.range is None and cost_chart({}) is None  # plotly's bars start at 0


def test_every_model_has_its_own_look() -> None:
    assert len({colour for colour, _ in model_styles(MODELS).values()}) == len(MODELS)


@pytest.mark.parametrize("names", [("psa", "fcn"), ("mine", *MODELS), tuple(f"net-{number}" for number in range(12))])
def test_shown_models_never_share_a_colour(names: tuple[str, ...]) -> None:
    colours = [colour for colour, _ in model_styles(names).values()]
    assert len(set(colours)) == len(names)
    assert model_styles(("psa",))["psa"] == model_styles(("psa", *names))["psa"]


def test_more_models_than_colours_differ_by_pattern() -> None:
    names = [f"net-{number}" for number in range(14)]
    assert len({*model_styles(names).values()}) == 14


def test_a_model_keeps_its_look_whichever_others_are_shown() -> None:
    alone = class_bars({"fla": evaluation(0.7).iou}, CLASSES, "IoU").data[0]
    last = class_bars({name: evaluation(0.7).iou for name in ("psa", "fla")}, CLASSES, "IoU").data[1]
    assert alone.marker == last.marker


def test_the_heatmap_s_rows_add_up_to_100_percent() -> None:
    heat, _ = confusion_heatmap(CONFUSION, CLASSES).data
    np.testing.assert_allclose(heat.z[:2], [[90, 10, 0], [10, 90, 0]])


def test_many_classes_have_no_gaps_which_would_hide_their_cells() -> None:
    for count, gap in ((32, 1), (150, 0)):
        heat, _ = confusion_heatmap(np.eye(count, dtype=int).tolist(), [str(one) for one in range(count)]).data
        assert (heat.xgap, heat.ygap) == (gap, gap)


def test_a_class_without_pixels_gets_dashes_for_its_row() -> None:
    figure = confusion_heatmap(CONFUSION, CLASSES)
    assert np.isnan(figure.data[0].z[2]).all()
    assert [(note.x, note.y, note.text) for note in figure.layout.annotations] == [(x, "Pole", "–") for x in CLASSES]


def test_pointing_at_the_heatmap_tells_the_count() -> None:
    heat, _ = confusion_heatmap(((1234, 0, 0), *CONFUSION[1:]), CLASSES).data
    assert heat.hovertext[0][0] == "true Sky<br>predicted Sky<br>1,234 pixels, 100.00 % of Sky"


def test_percents_are_written_where_they_count_and_can_be_read() -> None:
    _, percents = confusion_heatmap(((999, 1, 0), (30, 70, 0), (50, 0, 50)), CLASSES).data
    places = list(zip(percents.y, percents.x, percents.text, strict=True))
    assert places == [
        ("Sky", "Sky", "100"),
        ("Road", "Sky", "30"),
        ("Road", "Road", "70"),
        ("Pole", "Sky", "50"),
        ("Pole", "Pole", "50"),
    ]
    assert list(percents.textfont.color) == ["#000", "#fff", "#000", "#000", "#000"]


def test_names_of_classes_are_not_markup() -> None:
    figure = confusion_heatmap(CONFUSION, ("<b>Sky</b>", "Road", "Pole"))
    assert "<b>" not in figure.to_json()


def test_curves_show_val_where_it_was_scored() -> None:
    curve = (LogRow(25, 0.5, 0.1, 0.9, None), LogRow(50, 1.0, 0.1, 0.7, 0.61))
    (loss,) = curve_lines({"fla": curve}, "loss", "loss").data
    (val,) = curve_lines({"fla": curve}, "val_miou", "val").data
    assert (list(loss.x), list(loss.y)) == ([25, 50], [0.9, 0.7])
    assert (list(val.x), list(val.y)) == ([50], [61.0])


def test_a_run_that_was_scored_once_has_no_val_curve() -> None:
    first, once, twice = LogRow(25, 0.5, 0.1, 0.9), LogRow(50, 1.0, 0.1, 0.7, 0.61), LogRow(75, 1.5, 0.1, 0.6, 0.62)
    curves = {"fla": (first, once), "psa": (first, once, twice), "ema": (first,), "snl": (first, twice)}
    assert list(val_curves(curves)) == ["psa"]
    assert words.describe_scored_once(curves) == (
        "Val mIoU was measured once, at step 50, 75, and so has no curve: Fully attentional block, Sparse non-local. "
        "The table of models has the scores."
    )
    assert words.describe_scored_once({"psa": curves["psa"]}) == ""


def test_baselines_are_lines_of_their_own() -> None:
    curve = (LogRow(25, 0.5, 0.1, 0.9, None),)
    lines = curve_lines(dict.fromkeys((*BASELINE_TITLES, "fla"), curve), "loss", "loss").data
    assert [line.name for line in lines] == ["Common baseline", "SAM's own baseline", "Fully attentional block"]
    assert not {line.line.color for line in lines[:2]} & {colour for colour, _ in model_styles(MODELS).values()}
    assert len({line.line.dash for line in lines[:2]}) == 2
