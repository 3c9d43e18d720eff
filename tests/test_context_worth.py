"""The line on what a map's context is worth: its numbers are the record's."""

from __future__ import annotations

import re
from statistics import stdev

import numpy as np
import pytest
from result_cases import evaluation, record

from segviz.catalogue.bundled import available_models, bundled_worth
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.context_worth import HARDLY, ContextWorth, caption_worths, context_worth
from segviz.catalogue.location import bundled_path, checkpoints_folder
from segviz.catalogue.record import SCENES, SCENES_WITHOUT_CONTEXT, VAL, VAL_WITHOUT_CONTEXT
from segviz.cli.parser import build_parser
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.subplot import Subplot
from segviz.models.registry import MODELS, maps_of, resolve_network
from segviz.results.seeds import context_change, context_changes, read_runs, score_origins
from segviz.ui.map_help import mean_words, worth_in_words

OFF = {VAL: VAL_WITHOUT_CONTEXT, SCENES: SCENES_WITHOUT_CONTEXT}
IMAGE = np.zeros((8, 8, 3), np.uint8)


def with_scores(model: str, **miou: float | None) -> object:
    """A record with these scores, by "val", "val_off", "scenes" and "scenes_off"."""
    names = {"val": VAL, "val_off": OFF[VAL], "scenes": SCENES, "scenes_off": OFF[SCENES]}
    return record(model, evaluations={names[name]: evaluation(one) for name, one in miou.items() if one is not None})


@pytest.mark.parametrize("name", available_models())
def test_the_caveat_s_number_is_the_record_s(name: str) -> None:
    own, worth = read_record(bundled_path(name)), bundled_worth(name)
    assert (worth is None) == (not MODELS[name].maps)
    if worth is None:
        return
    changes = {
        one: 100 * (own.evaluations[off].miou - own.evaluations[one].miou)
        for one, off in OFF.items()
        if {one, off} <= set(own.evaluations)
    }
    assert worth.changes == pytest.approx(changes)
    shown = re.findall(r"(val|drawn scenes) (−|\+)([\d.]+)", worth.sentence())
    numbers = [float(digits) * (1 if sign == "+" else -1) for _, sign, digits in shown]
    assert numbers == pytest.approx(list(changes.values()), abs=0.005)
    assert (HARDLY in worth.sentence()) == (bool(changes) and max(map(abs, changes.values())) < 0.1)


def test_what_hardly_matters_is_said_and_nothing_else() -> None:
    words = {
        (0.70, 0.6995, 0.75, 0.7502): "val −0.05, drawn scenes +0.02 points: this map hardly matters",
        (0.70, 0.68, 0.75, 0.75): "val −2.00, drawn scenes +0.00 points",
        (0.70, 0.70, 0.75, None): "val +0.00 points, drawn scenes not measured: this map hardly matters",
        (0.70, None, 0.75, 0.73): "val not measured, drawn scenes −2.00 points",
    }
    for (val, val_off, scenes, scenes_off), expected in words.items():
        one = with_scores("ema", val=val, val_off=val_off, scenes=scenes, scenes_off=scenes_off)
        worth = context_worth(one)  # type: ignore[arg-type]
        assert worth is not None
        assert worth.sentence() == f"mIoU without the context: {expected}"
        assert worth.note() == f"mIoU without it: {expected}"


def test_the_line_of_one_seed_names_the_mean_that_results_shows() -> None:
    runs, _ = read_runs(checkpoints_folder())
    several = [name for name in available_models() if len(context_changes(runs[name])) > 1]
    assert "fla" in several
    for name in several:
        (shown,) = re.findall(r"^ \(this seed; mean of (\d) seeds: val (−|\+)([\d.]+) ± ([\d.]+)\)$", mean_words(name))
        count, sign, digits, spread = shown
        assert int(count) == len(runs[name])
        assert float(digits) * (1 if sign == "+" else -1) == context_change(runs[name])
        assert spread == f"{stdev(context_changes(runs[name])):.2f}"
    assert {mean_words(name) for name in available_models() if name not in several} == {""}


def test_an_own_checkpoint_names_the_command_that_measures_it() -> None:
    worth = context_worth(with_scores("psa", val=0.7))  # type: ignore[arg-type]
    assert worth is not None and "was not measured" in worth.sentence() and not worth.hardly_matters
    (command,) = re.findall(r"`python -m segviz (.*)`", worth.sentence())
    options = build_parser().parse_args(command.split())
    assert (options.model, options.without_context, options.record) == ("psa", True, True)


@pytest.mark.parametrize(
    ("model", "options", "has_worth"),
    [
        ("psanet_r50", {}, True),
        ("psanet_r50", {"block": "ppm"}, False),
        ("attanet_r18", {}, True),
        ("attanet_r18", {"block": "none"}, False),  # its gate has a map, and is no context
        ("ssanet_mbv2", {"block": "none"}, False),
    ],
)
def test_the_line_stands_where_a_block_has_a_map(model: str, options: dict[str, str], has_worth: bool) -> None:
    own = record(model, options=resolve_network(model, options))
    assert maps_of(model, own.options) or not has_worth
    assert (context_worth(own) is not None) == has_worth


def test_a_caption_ends_with_the_worths() -> None:
    note = caption_worths([context_worth(with_scores("ema", val=0.7, val_off=0.68)), None])  # type: ignore[arg-type]
    assert note == "mIoU without the context: ema: val −2.00 points, drawn scenes not measured"
    spec = FigureSpec("title", ((Subplot("map", IMAGE, model="ema"),),), note=note)
    assert spec.caption() == f"title; model ema; {note}" and spec.details()["note"] == note
    assert caption_worths([None]) == "" and FigureSpec("title", ()).caption() == "title"


def test_every_table_says_whose_its_scores_are() -> None:
    one, two = (with_scores("ema", val=0.7, val_off=0.68), with_scores("ema", val=0.71))
    columns = {"Val": VAL, "Off": OFF[VAL]}
    assert score_origins((one,), columns) == "one seed"  # type: ignore[arg-type]
    assert score_origins((one, two), columns) == "mean of 2 seeds; Off: one seed"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({VAL: -1.0, SCENES: -0.9}, "by −1.00 points on street photographs (CamVid) and −0.90 points on drawn scenes"),
        ({VAL: 0.02}, "by +0.02 points on street photographs (CamVid): this map hardly matters"),
    ],
)
def test_the_start_page_says_what_miou_is(changes: dict[str, float], said: str) -> None:
    words = worth_in_words(ContextWorth("ema", changes))
    assert "its mIoU, the mean overlap of predicted and true classes in percent, changes" in words
    assert words.endswith(said)
