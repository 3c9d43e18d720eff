"""The papers' figures: which subplots they have, what stands above and below them, and what they say of scales."""

from __future__ import annotations

import itertools
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from figure_cases import CELLS, IMAGE, LABELS, SIZE, dots, masks, over_complete, prediction, samples, strips
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.text import Annotation, Text
from PIL import Image

import segviz
from segviz.catalogue.bundled import available_models
from segviz.catalogue.checkpoint_file import read_record, write_checkpoint
from segviz.catalogue.record import VAL, Evaluation, Record
from segviz.cli import arguments, main
from segviz.data.classes import CAMVID, ClassSet
from segviz.figures.class_legend import class_legends, legend_lines
from segviz.figures.colour import Scale, weight_scale
from segviz.figures.colour_bars import row_bars
from segviz.figures.comparison_layouts import PATCH_SIDES, lay_out_classes, lay_out_without_and_with_sam
from segviz.figures.content import Classes, Dot, Heat, Points, Scatter
from segviz.figures.draw_subplot import borders
from segviz.figures.export import export
from segviz.figures.figure_input import FigureInput, Style
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.interesting_places import default_places, find_read_strips
from segviz.figures.matplotlib_backend import DOUBLE, PAGE, SINGLE, draw
from segviz.figures.model_variants import (
    SWITCHED_NOTE,
    collect_and_both,
    even_and_own_gate,
    without_and_with_context,
)
from segviz.figures.over_complete_layout import CELL_PIXELS, lay_out_over_complete
from segviz.figures.page import TITLE, break_title, fit_text, text_width
from segviz.figures.paper_layouts import (
    lay_out_attended_features,
    lay_out_comparison,
    lay_out_point_masks,
    lay_out_samples,
    lay_out_strips,
)
from segviz.figures.papers import PAPER_FIGURES, figure, paper_figure_spec
from segviz.figures.scale_text import format_ends, format_number
from segviz.figures.speed import ATTANET_GROUP, OTHERS, OURS, SPEED_FIGURE, BenchError, speed_spec
from segviz.figures.subplot import Mark, Subplot
from segviz.image import resize
from segviz.models.blocks import PointWiseBranch
from segviz.models.registry import build
from segviz.prediction.over_complete import read_over_complete
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor

pytestmark = pytest.mark.usefixtures("small_pictures")


def titles(spec: FigureSpec) -> list[list[str]]:
    return [[subplot.title if subplot else "-" for subplot in row] for row in spec.rows]


def shown(*maps: object, places: tuple[tuple[int, int], ...] = ((5, 5),), **models: Prediction) -> FigureInput:
    return FigureInput(IMAGE, models or {"model": prediction(*maps)}, places)


def test_default_places_lie_inside_the_largest_classes() -> None:
    labels = np.full(SIZE, 3, np.uint8)
    labels[5:15, 10:20] = 7
    places = default_places(labels, 5)
    assert [labels[place] for place in places] == [3, 7]
    assert default_places(labels, 0) == ()


def test_fla_5_has_a_column_for_each_model_and_the_truth_and_heads_them_once() -> None:
    one = FigureInput(IMAGE, {"a": prediction(), "b": prediction()}, labels=LABELS)
    spec = lay_out_classes([one, replace(one, labels=None)])
    assert titles(spec) == [["image", "a", "b", "ground truth"], ["", "", "", "-"]]
    truth = spec.rows[0][3]
    assert truth is not None and isinstance(truth.content, Classes) and truth.content.labels is LABELS


def test_fla_5_boxes_the_place_where_the_models_disagree_most() -> None:
    other = LABELS.copy()
    other[3:8, 28:36] = 9  # the larger part
    other[25, 2] = 9
    spec = lay_out_classes([FigureInput(IMAGE, {"a": prediction(), "b": prediction(labels=other)})])
    assert [len(row) for row in spec.rows] == [3, 3]
    (box,) = {subplot.boxes for subplot in spec.rows[0] if subplot}.pop()
    enlarged = spec.rows[1][0]
    assert enlarged and enlarged.image.shape[:2] == (round(box.bottom - box.top), round(box.right - box.left))
    assert enlarged.boxes == () and enlarged.title == ""
    assert (box.top < 3 or box.bottom > 8) and box.left <= 28 and box.right >= 36
    assert box.top >= 0 and box.bottom <= SIZE[0] and box.right <= SIZE[1]
    agreed = lay_out_classes([FigureInput(IMAGE, {"a": prediction(), "b": prediction()})])
    assert all(subplot.boxes == () for subplot in agreed.subplots)


def test_each_set_of_classes_has_its_own_legend_and_its_own_votes() -> None:
    kinds = ClassSet(("x", "y", "z"), ((1, 2, 3), (128, 128, 128), (7, 8, 9)))  # y has Sky's colour
    other = replace(prediction(labels=np.flipud(LABELS)), class_set=kinds)
    item = FigureInput(IMAGE, {"a": prediction(), "b": other}, labels=LABELS, label_classes=CAMVID)
    spec = lay_out_classes([item])
    assert all(subplot.boxes == () for subplot in spec.subplots), "indices of different classes do not disagree"
    first, second = class_legends(spec)
    assert (first.title, second.title) == ("a, ground truth", "b")
    assert [name for name, _ in first.items] == ["Sky", "Building", "Pole"]
    assert [name for name, _ in second.items] == ["x", "y", "z"]
    lines = [(line.title, len(line.items)) for line in legend_lines(spec, 1.5)]
    assert lines == [("a, ground truth", 1), ("", 2), ("b", 3)]
    (alone,) = class_legends(lay_out_classes([replace(item, predictions={"a": prediction()})]))
    assert alone.title == ""


def test_fla_6_shows_output_and_context_from_the_least_to_the_largest() -> None:
    spec = lay_out_attended_features([shown(fla=prediction())], Style(feature="both"))
    assert titles(spec) == [["image", "fla: output", "fla: context"]]
    heat = spec.subplots[2].content
    assert isinstance(heat, Heat)
    assert (heat.scale.low, heat.scale.high) == (pytest.approx(heat.values.min()), pytest.approx(heat.values.max()))
    assert re.search(r"; fla: output: linear scale \S+ to \S+; fla: context: linear scale \S+ to \S+$", spec.caption())


def test_atta_9_maps_of_a_picture_share_one_scale_and_one_bar() -> None:
    one = strips()
    spec = lay_out_strips([shown(one, places=((0, 5), (0, 35)))])
    assert titles(spec) == [["image", "column 0", "column 3", "prediction"]]
    first, second = (subplot.content for subplot in spec.subplots[1:3])
    assert isinstance(first, Heat) and isinstance(second, Heat)
    assert first.scale == second.scale
    assert first.scale.high == max(first.values.max(), second.values.max())
    assert (first.values == one.strip_map(0).numpy()).all() and first.even == 1 / 4
    assert [(bar.first, bar.last) for bar in row_bars(spec)[0]] == [(1, 2)]
    assert len(spec.subplots[0].boxes) == 2
    assert [(box.left, box.right) for box in spec.subplots[0].boxes] == [(0, 10), (30, 40)]


def test_atta_9_takes_the_strip_that_is_read_most_and_the_one_that_adds_most_to_it() -> None:
    one = strips()
    weights = torch.stack([one.strip_map(number).flatten() for number in range(len(one.keys))])
    first = int(weights.mean(1).argmax())
    others = [number for number in range(len(weights)) if number != first]
    second = max(others, key=lambda number: float(weights[[first, number]].amax(0).mean()))
    assert [one.cell(*place, *SIZE)[1] for place in find_read_strips(one, SIZE)] == sorted((first, second))
    unread = replace(one, queries=torch.ones(CELLS, 1), keys=torch.tensor([[0.0], [-50.0], [1.0], [-50.0]]))
    assert [place[1] // 10 for place in find_read_strips(unread, SIZE)] == [0, 2]
    across = replace(one, axis="horizontal", keys=one.keys[: one.grid[0]])
    assert {x for _, x in find_read_strips(across, SIZE)} == {SIZE[1] // 2}


def test_atta_9_ends_with_the_prediction_and_the_truth() -> None:
    truth = np.flipud(LABELS).copy()
    known, unknown = replace(shown(strips()), labels=truth), shown(strips())
    spec = lay_out_strips([known, unknown])
    assert [row[-2:] for row in titles(spec)] == [["prediction", "ground truth"], ["", "-"]]
    shown_labels = [one.content.labels for one in spec.rows[0][-2:] if one and isinstance(one.content, Classes)]
    assert shown_labels[0] is LABELS and shown_labels[1] is truth


def test_atta_6_cuts_a_patch_around_the_place_that_changes() -> None:
    other = LABELS.copy()
    other[3:8, 28:36] = 9
    item = FigureInput(IMAGE, {"a": prediction(), "b": prediction(labels=other)}, labels=LABELS)
    spec = lay_out_without_and_with_sam([item])
    assert titles(spec) == [["image", "a", "b", "ground truth"]]
    tall, wide = round(0.3 * PATCH_SIDES * SIZE[0]), round(0.3 * PATCH_SIDES * SIZE[1])
    assert {subplot.image.shape for subplot in spec.subplots} == {(tall, wide, 3)}
    parts = [one.content.labels for one in spec.subplots if isinstance(one.content, Classes)]
    assert [part.shape for part in parts] == [(tall, wide)] * 3
    assert (parts[0] == parts[2]).all() and (parts[1] != parts[0]).sum() == 5 * 8
    (box,) = {subplot.boxes for subplot in spec.subplots}.pop()
    assert 0 <= box.top < box.bottom <= tall and box.right - box.left == pytest.approx(0.3 * SIZE[1])
    same = lay_out_without_and_with_sam([FigureInput(IMAGE, {"a": prediction(), "b": prediction()})])
    assert {subplot.image.shape for subplot in same.subplots} == {IMAGE.shape}


def test_psa_3_shows_all_that_a_place_predicts_and_the_window_that_is_valid() -> None:
    place = (25, 5)  # in cell (2, 0) of 3 x 4
    item = replace(shown(*masks(), places=(place,)), over_complete=over_complete(place))
    spec = lay_out_over_complete([item])
    names = ["collect: over-complete", "collect: mask", "distribute: over-complete", "distribute: mask"]
    assert titles(spec) == [["image", *names]]
    whole = spec.subplots[1]
    assert isinstance(whole.content, Heat) and whole.content.values.shape == (5, 7)
    window, own = whole.boxes
    cell = [value / CELL_PIXELS for value in (window.top, window.left, window.bottom, window.right)]
    assert window.dashed and cell == [0, 3, 3, 7]  # from row H - 1 - k = 0 and column W - 1 - l = 3
    assert (own.top / CELL_PIXELS, own.left / CELL_PIXELS) == (2, 3), "relative position 0 is in the middle"
    inside = whole.image[: 3 * CELL_PIXELS, 3 * CELL_PIXELS :]
    assert (inside == resize(IMAGE, (3 * CELL_PIXELS, 4 * CELL_PIXELS))).all()
    assert (whole.image[3 * CELL_PIXELS :] == 255).all()
    assert spec.places == (place,)


def test_the_valid_window_holds_the_logits_of_the_map() -> None:
    predictor, fcn = toy("psa"), toy("fcn")
    picture = np.random.default_rng(3).integers(0, 256, (45, 60, 3), dtype=np.uint8)
    place, maps = (2, 58), predictor(picture).maps
    for name, one in read_over_complete(predictor, picture, place).items():
        (top, left), (height, width) = one.window, one.grid
        window = one.values[top : top + height, left : left + width]
        assert maps[name].cell(*place, 45, 60) == one.cell and maps[name].grid == one.grid
        np.testing.assert_allclose(window, maps[name].logits(*one.cell).numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="'fcn' has no over-complete map; use --models psa"):
        read_over_complete(fcn, picture, (1, 1))
    branch = next(iter(predictor.model.block.branches.values()))
    assert isinstance(branch, PointWiseBranch)
    branch.compact = True
    with pytest.raises(ValueError, match="they have no over-complete map; train with `compact=false`"):
        read_over_complete(predictor, picture, place)


def test_models_of_different_classes_do_not_name_the_truth_by_the_first_ones() -> None:
    other = replace(prediction(), class_set=ClassSet(("x", "y", "z"), ((1, 2, 3), (4, 5, 6), (7, 8, 9))))
    item = FigureInput(IMAGE, {"a": prediction(), "b": other}, labels=LABELS)
    with pytest.raises(ValueError, match="the models have different classes, so labels need their own"):
        lay_out_classes([item])


def test_fla_5_has_the_five_models_of_the_paper() -> None:
    assert PAPER_FIGURES["fla-5"].models == ("channel_nl", "spatial_nl", "dual_nl", "cs_nl", "fla")


# ---- a model beside itself ---------------------------------------------------------------------------------


@cache
def toy(name: str) -> Predictor:
    torch.manual_seed(0)
    return Predictor(build(name, 3).eval(), Record(name, ("a", "b", "c"), "mobilenetv2_100", 8), "cpu", size=(64, 96))


def test_the_variants_of_a_model_have_one_part_switched_off() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    sam, psa = toy("sam"), toy("psa")
    off, own = (dict(without_and_with_context("sam", sam))[one] for one in ("sam (context off)", "sam"))
    assert own is sam and off(picture).attended.context.abs().max() == 0 < sam(picture).attended.context.abs().max()
    gate = dict(even_and_own_gate("sam", sam))["sam (gate at 1/2)"](picture).maps["gate"].alpha
    assert (gate == 0.5).all() and sam(picture).maps["gate"].alpha.std() > 0
    alone = dict(collect_and_both("psa", psa))["psa (distribute off)"].model.block
    kept, cut = alone.project[0].weight.chunk(2, 1)
    assert (cut == 0).all() and torch.equal(kept, psa.model.block.project[0].weight.chunk(2, 1)[0])
    assert [name for name, _ in collect_and_both("fcn", toy("fcn"))] == ["fcn"]
    assert [name for name, _ in even_and_own_gate("fcn", toy("fcn"))] == ["fcn"]
    assert [name for name, _ in without_and_with_context("fcn", toy("fcn"))] == ["fcn"]


def test_a_single_model_is_drawn_beside_itself_and_two_are_drawn_as_they_are() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    one = paper_figure_spec("atta-6", [picture], models=[toy("sam")])
    assert titles(one) == [["image", "sam (context off)", "sam"]] and SWITCHED_NOTE in one.caption()
    two = paper_figure_spec("atta-6", [picture], models=[toy("fcn"), toy("sam")])
    assert titles(two) == [["image", "fcn", "sam"]] and SWITCHED_NOTE not in two.caption()


# ---- speed against mIoU ------------------------------------------------------------------------------------


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A checkpoint with a val score."""
    score = Evaluation("city val", 1, 0.6, 0.5, {}, {}, ((1, 0), (0, 1)))
    record = Record("fcn", ("a", "b"), "mobilenetv2_100", 8, evaluations={VAL: score})
    write_checkpoint(tmp_path / "mine.safetensors", build("fcn", 2), record)
    return tmp_path / "mine.safetensors"


def write_bench(path: Path, **row: object) -> Path:
    machine = {"CPU": "a processor", "GPU": "an accelerator"}
    bench = {"subject": "models", "machine": machine, "rows": [{"model": "fcn", "device": "cuda", **row}]}
    path.write_text(json.dumps(bench))
    return path


def test_atta_1_puts_measured_networks_beside_the_papers_own_points(scored: Path, tmp_path: Path) -> None:
    bench = write_bench(tmp_path / "bench.json", fps=42.0, definition="AttaNet: resized", options=None)
    spec = speed_spec([bench], [scored])
    chart = spec.subplots[0].content
    assert isinstance(chart, Scatter)
    measured = [
        dot
        for dot in chart.dots
        if dot.group == f"{OURS}: city val, whole, at their own size; an accelerator, AttaNet: resized"
    ]
    assert [(dot.name, dot.x, dot.y) for dot in measured] == [("mine", 42.0, 60.0)]
    papers = {(dot.name, dot.y, dot.x) for dot in chart.dots if dot.group == ATTANET_GROUP}
    assert papers == {
        ("AttaNet (eight layers)", 70.1, 180),
        ("AttaNet (ResNet18)", 78.5, 130),
        ("AttaNet (DF2)", 79.9, 71),
    }
    assert len(chart.dots) == 1 + 21
    assert (
        "measured: city val, whole, at their own size; an accelerator, AttaNet: resized; the paper's: Cityscapes test"
        in spec.caption()
    )
    assert draw(spec).get_size_inches()[0] == SINGLE
    (words,) = [one for one in export(spec, "csv").decode().splitlines() if one.endswith(",42.0")]
    assert f"frames per second of mine ({measured[0].group})" in words


def test_atta_1_takes_the_score_at_the_size_of_the_speed(scored: Path, tmp_path: Path) -> None:
    sized = replace(read_record(scored).evaluations[VAL], miou=0.3, size=(64, 128))
    record = replace(
        read_record(scored), evaluations={VAL: read_record(scored).evaluations[VAL], "val, at 64 x 128": sized}
    )
    write_checkpoint(tmp_path / "sized.safetensors", build("fcn", 2), record)
    for sees, miou, words in ([64, 128], 30.0, "whole, at 64 x 128"), ([32, 64], 60.0, "whole, at their own size"):
        bench = write_bench(tmp_path / "bench.json", fps=42.0, definition="AttaNet: resized", sees=sees)
        chart = speed_spec([bench], [tmp_path / "sized.safetensors"]).subplots[0].content
        assert isinstance(chart, Scatter)
        assert (chart.dots[0].y, chart.dots[0].group) == (
            miou, f"{OURS}: city val, {words}; an accelerator, AttaNet: resized",
        )  # fmt: skip


def test_atta_1_says_what_it_leaves_out(scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"model": name, "device": "cpu", "fps": 42.0} for name in ("fcn", "attanet_light")]
    bench, other = tmp_path / "bench.json", tmp_path / "other.safetensors"
    bench.write_text(json.dumps({"subject": "models", "machine": {}, "rows": rows}))
    write_checkpoint(other, build("sam", 2), replace(read_record(scored), model="sam"))
    words = ["figure", "atta-1", str(bench), "--models", str(scored), str(other), "--out", str(tmp_path / "a.svg")]
    assert main.main(words) == 0
    assert capsys.readouterr().err == (
        "segviz: not drawn: attanet_light has no record; other is measured in no row of the "
        "benchmark, with its options and on its body\n"
    )


def test_atta_1_tells_why_a_network_is_not_drawn_once(scored: Path, tmp_path: Path) -> None:
    unscored, unlike = tmp_path / "unscored.safetensors", tmp_path / "unlike.safetensors"
    write_checkpoint(unscored, build("fcn", 2), replace(read_record(scored), evaluations={}))
    on_another_body = replace(read_record(scored), model="dual_nl", backbone="resnet18")
    write_checkpoint(unlike, build("dual_nl", 2, "resnet18", 8), on_another_body)
    bench = tmp_path / "bench.json"
    rows = [{"model": name, "device": "cpu", "fps": 42.0} for name in ("fcn", "dual_nl", "sam", "sam")]
    bench.write_text(json.dumps({"subject": "models", "machine": {}, "rows": rows}))
    told = list[str]()
    speed_spec([bench], [scored, unscored, unlike], told.append)
    assert told == [
        "not drawn: sam has no record; dual_nl was measured with other options, or on another body, than unlike's; "
        "the record of unscored has no val score"
    ]


def bundled_bench(path: Path) -> Path:
    """A benchmark of the bundled models, whose times lie as near to each other as on a CPU."""
    rows = [
        {"model": name, "device": "cpu", "median_ms": 90 + 7 * number} for number, name in enumerate(available_models())
    ]
    path.write_text(json.dumps({"subject": "models", "machine": {"CPU": "a processor"}, "rows": rows}))
    return path


def crowd_dots(spec: FigureSpec) -> FigureSpec:
    """The figure with 12 more dots, all within a hundredth of the chart."""
    subplot = spec.subplots[0]
    chart = subplot.content
    assert isinstance(chart, Scatter)
    more = [Dot(f"network {number}", 90 + number / 20, 76 + number % 5 / 50, OTHERS) for number in range(12)]
    return replace(spec, rows=((replace(subplot, content=replace(chart, dots=(*chart.dots, *more))),),))


@pytest.mark.parametrize("width", [SINGLE, DOUBLE])
@pytest.mark.parametrize("crowded", [False, True], ids=["bundled", "crowded"])
def test_names_in_atta_1_cover_no_other_and_no_dot(crowded: bool, width: float, tmp_path: Path) -> None:
    spec = speed_spec([bundled_bench(tmp_path / "bench.json")])
    figure = draw(crowd_dots(spec) if crowded else spec, width, caption=False)
    (axes,) = figure.axes
    renderer = RendererAgg(*(figure.get_size_inches() * figure.dpi), figure.dpi)
    names = [one for one in axes.texts if isinstance(one, Annotation)]
    for one in names:
        one.update_positions(renderer)
    boxes = np.array([Text.get_window_extent(one, renderer).extents for one in names])  # without the lines to them
    assert len(boxes) == 21 + 11 + 12 * crowded
    for (one, box), (other, beside) in itertools.combinations(zip(names, boxes, strict=True), 2):
        covered = np.minimum(box[2:], beside[2:]) - np.maximum(box[:2], beside[:2])
        assert (covered <= 0).any(), f"{one.get_text()} and {other.get_text()}"
    low, high = axes.bbox.extents[:2], axes.bbox.extents[2:]
    assert (boxes[:, :2] >= low).all() and (boxes[:, 2:] <= high).all()
    places = axes.transData.transform([one.xy for one in names])
    inside = (places[:, None] > boxes[None, :, :2]) & (places[:, None] < boxes[None, :, 2:])
    assert not inside.all(2).any()


def test_atta_1_draws_checkpoints_of_the_same_file_name_in_different_folders(scored: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.safetensors"
    other.parent.mkdir()
    other.write_bytes(scored.read_bytes())
    bench = write_bench(tmp_path / "bench.json", fps=42.0)
    chart = speed_spec([bench], [scored, other]).subplots[0].content
    assert [dot.name for dot in chart.dots if dot.group.startswith(OURS)] == ["mine", "mine_2"]  # type: ignore[union-attr]


def test_atta_1_gives_no_speed_to_a_network_on_another_body(tmp_path: Path) -> None:
    score = Evaluation("city val", 1, 0.6, 0.5, {}, {}, ((1, 0), (0, 1)))
    for number, body in enumerate((("resnet18", 8), ("mobilenetv2_100", 16))):
        path = tmp_path / f"{number}.safetensors"
        write_checkpoint(path, build("fcn", 2, *body), Record("fcn", ("a", "b"), *body, evaluations={VAL: score}))
        with pytest.raises(BenchError, match=f"can be drawn: fcn was measured .*, than {number}'s; name"):
            speed_spec([write_bench(tmp_path / "bench.json", fps=42.0)], [path])


def test_the_command_line_draws_atta_1_from_files(scored: Path, tmp_path: Path) -> None:
    bench, out = write_bench(tmp_path / "bench.json", fps=42.0), tmp_path / "speed.svg"
    assert main.main(["figure", "atta-1", str(bench), "--models", str(scored), "--out", str(out), "--caption"]) == 0
    assert {
        "mine",
        "AttaNet (DF2)",
        "frames per second",
    } <= set(words(out.read_text()))
    legend = "measured here: city val, whole, at their own size; an accelerator, picture to labels"
    assert legend in " ".join(words(out.read_text()))


def test_atta_1_matches_networks_by_model_and_options(scored: Path, tmp_path: Path) -> None:
    other = write_bench(tmp_path / "sam.json", model="sam", fps=3.0)
    with pytest.raises(BenchError, match=r"can be drawn: sam has no record; mine is measured in no row .*; name"):
        speed_spec([other], [scored])
    older = write_bench(tmp_path / "old.json", median_ms=20.0)
    assert speed_spec([older], [scored]).subplots[0].content.dots[0].x == 50  # type: ignore[union-attr]
    with pytest.raises(BenchError, match=r"has operations and no times; run `bench models` without --count"):
        speed_spec([write_bench(tmp_path / "count.json", gflops=1.0)], [scored])
    (tmp_path / "no.json").write_text('{"subject": "blocks"}')
    with pytest.raises(BenchError, match=r"no\.json is not a benchmark; write one with `bench models --json > FILE`"):
        speed_spec([tmp_path / "no.json"], [scored])
    for text, words in {
        "\n": "is empty, so",
        "segviz: no such network\n": "holds the error 'no such network' in",
    }.items():
        (tmp_path / "failed.json").write_text(text)
        with pytest.raises(BenchError, match=rf"failed\.json {words} .*; run `bench models --json > FILE` again"):
            speed_spec([tmp_path / "failed.json"], [scored])


def test_psa_6_shows_row_p_of_collect_and_column_p_of_distribute() -> None:
    collect, distribute = masks()
    spec = lay_out_point_masks([shown(collect, distribute, places=((0, 0), (29, 39)))])
    assert titles(spec) == [["image", "collect", "distribute"], ["", "", ""]]
    assert "collect:" not in spec.caption()  # which of two rows would be meant?
    values = [subplot.content.values for subplot in spec.subplots if isinstance(subplot.content, Heat)]
    wanted = [
        collect.attends_to(0, 0),
        distribute.attended_by(0, 0),
        collect.attends_to(2, 3),
        distribute.attended_by(2, 3),
    ]
    assert all((one == two.numpy()).all() for one, two in zip(values, wanted, strict=True))
    assert [subplot.scale.high for subplot in spec.subplots if subplot.scale] == [
        pytest.approx(one.max()) for one in values
    ]


def test_snl_tells_of_points_outside_the_picture() -> None:
    spec = lay_out_samples([shown(samples(), places=((0, 0),))])
    assert titles(spec) == [["9 samples of (y 0, x 0), 5 outside"]]
    points = spec.subplots[0].content
    assert isinstance(points, Points) and points.even == 1 / 9
    assert points.undisplaced[4] == pytest.approx([4.5, 4.5])  # the centre of cell (0, 0)


def test_compare_wraps_many_models_and_names_those_without_a_map() -> None:
    models = {f"m{number}": prediction(strips()) for number in range(6)} | {"fcn": prediction()}
    spec = lay_out_comparison([shown(**models)])
    heads = [title for row in titles(spec) for title in row]
    assert "fcn: no map over places" in heads
    assert max(map(len, spec.rows)) == 4 and len(spec.rows) == 4


def test_compare_gives_multiples_of_the_even_share_on_one_scale_if_asked() -> None:
    first, second = dots(), dots()
    models = {"a": prediction(first), "b": prediction(second)}
    own, common = (lay_out_comparison([shown(**models)], Style(shared=shared)) for shared in (False, True))
    heats = [subplot.content for subplot in own.subplots if isinstance(subplot.content, Heat)]
    assert (heats[0].values == first.attends_to(0, 0).numpy() * CELLS).all()
    assert heats[0].scale != heats[1].scale and heats[0].even == 1
    scales = {subplot.scale for subplot in common.subplots if subplot.scale}
    assert len(scales) == 1 and scales.pop().high == max(one.values.max() for one in heats)


@pytest.mark.parametrize("layout", [lay_out_strips, lay_out_point_masks, lay_out_samples])
def test_a_figure_asks_for_a_model_that_it_can_show(layout: object) -> None:
    with pytest.raises(ValueError, match="use --models"):
        layout([shown(dots())])  # type: ignore[operator]


# ---- drawing -----------------------------------------------------------------------------------------------


def bytes_of(spec: FigureSpec, form: str, **more: object) -> bytes:
    buffer = BytesIO()
    draw(spec, **more).savefig(buffer, format=form, dpi=72)  # type: ignore[arg-type]
    return buffer.getvalue()


def svg(spec: FigureSpec, **more: object) -> str:
    return bytes_of(spec, "svg", **more).decode()


def words(text: str) -> list[str]:
    return [found.strip() for found in re.findall(r"<text[^>]*>([^<]*)</text>", text)]


SPEC = lay_out_strips([shown(strips(), places=((0, 5), (0, 35)))])


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_figures_are_written_the_same_each_time(form: str) -> None:
    first, second = (bytes_of(SPEC, form) for _ in range(2))
    assert first == second
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form])


def test_text_stays_text_pictures_are_images_and_marks_are_vectors() -> None:
    drawn = svg(SPEC, letters=True)
    assert {"a", "b", "c", "image", "column 0", "weight", "0"} <= set(words(drawn))
    assert drawn.count("<image") == 4 + 1  # four pictures and the bar
    assert drawn.count("#d55e00") >= 2  # the strip's outline in its own subplot and in the picture's


def test_fonts_of_a_pdf_are_embedded_as_truetype() -> None:
    assert b"/FontFile2" in bytes_of(SPEC, "pdf")


def test_letters_and_captions_are_drawn_if_asked_for() -> None:
    bare = words(svg(SPEC, letters=False, caption=False))
    assert "a" not in bare and not any("model model" in text for text in bare)
    assert any("pixel y 0, x 5" in text for text in words(svg(SPEC, caption=True)))


@pytest.mark.parametrize("width", [SINGLE, DOUBLE])
def test_a_figure_is_as_wide_as_its_column_and_no_higher_than_a_page(width: float) -> None:
    many = lay_out_strips([shown(strips(), places=((0, 5), (0, 35)))] * 8)
    size = draw(many, width).get_size_inches()
    assert size[0] == pytest.approx(width)
    assert size[1] <= PAGE + 1e-6


@pytest.mark.parametrize("width", [SINGLE, DOUBLE])
def test_words_stay_inside_the_figure_and_out_of_each_others_way(width: float) -> None:
    models = {f"a model with a rather long name {number}": prediction(dots()) for number in range(5)}
    drawn = draw(lay_out_comparison([shown(**models)], Style(kind="percentile")), width, letters=True)
    drawn.set_dpi(300)
    drawn.canvas.draw()
    boxes = [text.get_window_extent() for text in drawn.texts]
    edge = drawn.bbox
    assert all(box.x0 >= edge.x0 - 1 and box.x1 <= edge.x1 + 1 and box.y0 >= edge.y0 - 1 for box in boxes)
    overlaps = [
        (one, other)
        for number, one in enumerate(boxes)
        for other in boxes[number + 1 :]
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 2 and min(one.y1, other.y1) - max(one.y0, other.y0) > 3
    ]
    assert not overlaps


@pytest.mark.parametrize("size", [(1, 1), (900, 1), (1, 900), (40, 30)])
def test_pictures_of_any_shape_keep_it_and_the_page(size: tuple[int, int]) -> None:
    drawn = draw(FigureSpec("shape", ((Subplot("picture", np.zeros((*size, 3), np.uint8)),),)))
    assert drawn.get_size_inches()[1] <= PAGE + 1e-6
    (axes,) = drawn.axes
    box = axes.get_window_extent()
    assert box.height / box.width == pytest.approx(size[0] / size[1])


def test_drawings_of_several_threads_do_not_mix() -> None:
    alone = bytes_of(SPEC, "svg")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: bytes_of(SPEC, "svg"), range(8))) == {alone}


def test_a_bar_says_what_its_scale_cuts_off() -> None:
    values = np.append(np.arange(1.0, 101), 1e6).reshape(1, -1).astype(np.float32)
    subplot = Subplot("map", IMAGE, Heat(values, weight_scale(values, kind="percentile"), "weight"), "map")
    drawn = words(svg(FigureSpec("cut", ((subplot,),))))
    assert "≤ 2" in drawn and "≥ 100" in drawn
    assert "weight, 1st to 99th percentile" in drawn


def test_a_shared_bar_tells_of_what_any_of_its_maps_has_beyond_it() -> None:
    low, high = np.array([[0.0001, 0.01]], np.float32), np.array([[0.01, 1.0]], np.float32)
    scale = weight_scale(low, high, kind="log")
    row = tuple(Subplot("map", IMAGE, Heat(values, scale, "weight"), "map") for values in (high, low))
    assert words(svg(FigureSpec("one bar", (row, row)))).count("≤ 0.001") == 1


def test_the_even_share_is_marked_at_its_place() -> None:
    values = np.array([[0.0, 0.5], [0.25, 0.25]], np.float32)
    subplot = Subplot("map", IMAGE, Heat(values, weight_scale(values), "weight", even=0.25), "map")
    drawn = draw(FigureSpec("even", ((subplot,),)))
    (tick,) = [line for axes in drawn.axes for line in axes.lines]
    assert list(tick.get_xdata()) == [0.5, 0.5]


def test_hostile_words_are_drawn_as_they_are() -> None:
    title = "$\\frac{$ <script>&\x00\ud800 漢"
    drawn = svg(FigureSpec(title, ((Subplot(title, IMAGE),),)))
    assert "<script" not in drawn and "$\\frac{$ &lt;script&gt;&amp;" in drawn
    bytes_of(FigureSpec(title, ((Subplot(title, IMAGE),),)), "pdf")


def test_titles_shrink_break_and_are_cut_at_last() -> None:
    assert fit_text("short", 2.0) == ("short", TITLE)
    words_, size = fit_text("a title that is much too long for its room", 0.8)
    assert words_.endswith("…") and text_width(words_, size) <= 0.8
    assert fit_text("distribute: over-complete", 1.25)[1] < TITLE  # 1.23 inches wide, and more on a grid of pixels
    assert break_title("collect: seen from (120, 300)", 0.9) == ["collect: seen", "from (120, 300)"]


def test_borders_lie_between_labels() -> None:
    labels = np.array([[1, 1, 2], [1, 2, 2]], np.uint8)
    pieces = {tuple(map(tuple, piece)) for piece in borders(labels).reshape(-1, 2, 2)}
    assert pieces == {((1, 1), (2, 1)), ((2, 0), (2, 1)), ((1, 1), (1, 2))}


@pytest.mark.parametrize(
    "ends", [(0.1001, 0.1003), (2.6785e-5, 2.6789e-5), (1234.4, 1234.5), (1e7, 1e7 + 1), (0.0, 0.0)]
)
def test_ends_of_a_bar_read_differently_unless_they_are_equal(ends: tuple[float, float]) -> None:
    low, high = format_ends(*ends)
    assert (low == high) == (ends[0] == ends[1])
    assert format_ends(0.0, 0.25) == ("0", "0.25")
    scale = Scale(*ends)
    heat = Heat(np.array([ends], np.float32), scale, "weight")
    text = FigureSpec("ends", ((Subplot("map", IMAGE, heat, "map"),),)).caption()
    assert text.endswith(f"linear scale {low} to {high}" if low != high else "0 everywhere")


def test_numbers_at_bars() -> None:
    assert [format_number(value) for value in (0, 0.01234, 1234.5, 4.13e-5)] == ["0", "0.0123", "1234", "4.13e-5"]


# ---- segviz.figure -----------------------------------------------------------------------------------------


def test_the_command_line_names_the_figures_of_the_table() -> None:
    assert {*PAPER_FIGURES, SPEED_FIGURE} == set(arguments.FIGURE_NAMES)


def test_figure_draws_several_pictures_by_the_bundled_models() -> None:
    drawn = segviz.figure("psa-6", ["scene:3", np.asarray(IMAGE)], at=(5, 5), width="single")
    assert drawn.get_size_inches()[0] == pytest.approx(SINGLE)
    assert [len(row) for row in drawn.spec.rows] == [3, 3]
    assert drawn.spec.models == ("psa",)
    with Image.open(BytesIO(drawn._repr_png_())) as shown_:
        assert shown_.width == pytest.approx(SINGLE * 150, abs=1)


def test_figure_knows_the_labels_of_drawn_scenes() -> None:
    predictor = segviz.load("fcn")
    spec = paper_figure_spec("fla-5", ["scene:3"], models=[predictor])
    assert titles(spec) == [["image", "fcn", "ground truth"]]


def with_other_classes(predictor: Predictor) -> Predictor:
    names = tuple(f"kind {number}" for number in range(len(predictor.record.classes)))
    return Predictor(predictor.model, replace(predictor.record, classes=names))


def test_ground_truth_keeps_its_own_classes_whatever_those_of_the_models() -> None:
    other = with_other_classes(segviz.load("fcn"))
    truth = paper_figure_spec("fla-5", ["scene:3"], models=[other]).rows[0][2]
    assert truth is not None and isinstance(truth.content, Classes) and truth.content.class_set is CAMVID


def test_labels_are_indices_of_the_models_common_classes() -> None:
    predictor, picture = segviz.load("fcn"), np.asarray(IMAGE)
    other, labels = with_other_classes(predictor), np.zeros(picture.shape[:2], np.uint8)
    truth = paper_figure_spec("fla-5", [picture], models=[other], labels=[labels]).rows[0][2]
    assert truth is not None and isinstance(truth.content, Classes) and truth.content.class_set.names[0] == "kind 0"
    with pytest.raises(ValueError, match=r"different classes \(Sky, Building, Pole … and kind 0, kind 1"):
        paper_figure_spec("fla-5", [picture], models=[predictor, other], labels=[labels])
    with pytest.raises(ValueError, match="no class has the index 99 of the labels; classes are 0 to 10, void is 255"):
        paper_figure_spec("fla-5", [picture], models=[predictor], labels=[labels + 99])
    with pytest.raises(ValueError, match=r"labels belong to fla-5, .*psa-5, not to snl"):
        paper_figure_spec("snl", [picture], models=[predictor], labels=[labels])


def test_figure_says_what_is_wrong() -> None:
    predictor = segviz.load("fcn")
    with pytest.raises(ValueError, match="figure 'fla-7' is unknown; use fla-5"):
        figure("fla-7", IMAGE)
    with pytest.raises(ValueError, match=r"picture 1: pixel \(y=30, x=5\) is outside the picture of 40 x 30 pixels"):
        figure("compare", IMAGE, at=(30, 5), models=[predictor])
    with pytest.raises(ValueError, match=re.escape("labels of (30, 40) do not fit a picture of (360, 480)")):
        figure("fla-5", "scene:3", labels=[LABELS], models=[predictor])
    with pytest.raises(ValueError, match="there are 2 label maps for 1 pictures"):
        figure("fla-5", IMAGE, labels=[LABELS, LABELS], models=[predictor])
    with pytest.raises(ValueError, match="no picture was given"):
        figure("fla-5", [], models=[predictor])


def test_a_figure_saved_by_hand_carries_its_figure_spec_along(tmp_path: Path) -> None:
    drawn = draw(SPEC)
    drawn.savefig(tmp_path / "a.pdf")
    assert b"/Title (Attention to strips, after AttaNet Fig. 9)" in (tmp_path / "a.pdf").read_bytes()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("place", [(100, 200), (3, 5), (359, 479), (180, 0)])
def test_a_mark_leaves_its_cell_in_sight(number: int, place: tuple[int, int]) -> None:
    image, values = np.zeros((360, 480, 3), np.uint8), np.zeros((23, 30), np.float32)
    values[place[0] * 23 // 360, place[1] * 30 // 480] = 1
    heat = Heat(values, Scale(0, 1), "weight", "gray", smooth=False)
    bare, marked = (
        draw_three(Subplot("map", image, heat, "map", marks=marks)) for marks in ((), (Mark(*place, number),))
    )
    white = (bare > 250).all(2)
    assert white.sum() > 40
    assert (marked[white] > 250).all(1).mean() > 0.9, "the mark hides the bright cell"
    assert (marked[~white] > 250).all(1).any(), "there is no mark"


def draw_three(subplot: Subplot) -> np.ndarray:
    """The pixels of the first of three pictures side by side, as in psa-6 in one column."""
    figure = draw(FigureSpec("psa-6", ((subplot,) * 3,), opacity=1.0), SINGLE, caption=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=300)
    with Image.open(buffer) as drawn:
        pixels, box = np.asarray(drawn.convert("RGB")), figure.axes[0].get_position()
    (top, bottom), (left, right) = (
        (math.ceil(first * count) + 1, int(last * count) - 1)
        for first, last, count in ((1 - box.y1, 1 - box.y0, pixels.shape[0]), (box.x0, box.x1, pixels.shape[1]))
    )
    return pixels[top:bottom, left:right]
