"""`table`: which checkpoints belong to rows, what is printed as text, JSON and CSV, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from table_cases import CITYSCAPES, NOTHING, evaluation, run_segviz, write_cityscapes
from torch import nn

from segviz.catalogue.checkpoint_file import read_record, write_checkpoint
from segviz.catalogue.record import Record
from segviz.cli.table_parser import TABLE_NAMES
from segviz.models.registry import build, resolve_network
from segviz.paper_tables.commands import COMMAND_START, run_commands, runs_of
from segviz.paper_tables.description import COUNTED_KINDS, PaperTable, ScoreColumn
from segviz.paper_tables.filled import FilledTable, fill_table
from segviz.paper_tables.scores import find_evaluation, find_run, read_folder
from segviz.paper_tables.show import digits_of, format_filled, table_as_dict, table_csv
from segviz.paper_tables.tables import PAPER_TABLES

# ---- checkpoints -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints of SSANet's Table 1, one of another network, and a file that is none."""
    evaluations = {
        "val": evaluation(0.71),
        "val, crops of 769 x 769": evaluation(0.7451, crop=(769, 769), step=2 / 3),
        "val, multi-scale and flip": evaluation(0.7599, scales=(0.75, 1.0, 1.25), flip=True),
    }
    options = {"points": 81, "pooling": False, "decoder": False}
    base = Record("ssanet_mbv2", CITYSCAPES, "mobilenetv2_100", 16)
    for name, record in {
        "alone": replace(base, options=options, evaluations=evaluations),
        "own": replace(base, options=resolve_network("ssanet_mbv2")),
        "camvid": replace(base, classes=("road", "sky"), evaluations={}),
        "other": Record("fcn", CITYSCAPES, "mobilenetv2_100", 8),
        "body": replace(base, options={"points": 9, "pooling": False, "decoder": False}, backbone="resnet18"),
        "stride": replace(base, options={"points": 49, "pooling": False, "decoder": False}, output_stride=8),
        "split": replace(base, options={"decoder": False}, data="cities train+val"),
    }.items():
        write_checkpoint(tmp_path / f"{name}.safetensors", nn.Linear(1, 1), record)
    (tmp_path / "broken.safetensors").write_bytes(b"no header")
    return tmp_path


def test_checkpoints_belong_to_rows_by_network_options_and_classes(folder: Path) -> None:
    table, read = PAPER_TABLES["ssanet-1"], read_folder(folder)
    found = {
        row.label + str(row.printed[0]): stored and stored.path.stem
        for row in table.rows
        for run in runs_of(table, row)
        for stored in [find_run(run, read.stored)]
    }
    assert found.pop("Baseline + SNL81") == "alone"
    assert found.pop("Baseline + SNL + GP + Decoder81") == "own"
    assert set(found.values()) == {None}
    assert len(read.problems) == 1


def test_one_step_is_a_step(folder: Path) -> None:
    read = read_folder(folder)
    once = tuple(replace(one, record=replace(one.record, steps=1)) for one in read.stored)
    text = format_filled(fill_table(PAPER_TABLES["ssanet-1"], replace(read, stored=once)))
    assert "Scored: alone.safetensors, 1 step of training: " in text


def test_scores_come_from_the_record_with_their_protocol(folder: Path) -> None:
    filled = fill_table(PAPER_TABLES["ssanet-1"], read_folder(folder))
    scores = [one.cells[1].value for one in filled.rows]
    assert scores == [None, None, None, pytest.approx(74.51), None, None, None, None]
    text = format_filled(filled)
    shown = "cityscapes val (500 pictures), at their own size, crops of 769 x 769"
    assert f"Scored: alone.safetensors, 0 steps of training: {shown}." in text
    assert "A checkpoint without the scores of this table: Baseline + SNL + GP + Decoder;" in text
    assert "broken.safetensors" in text


def test_a_score_is_of_the_columns_protocol() -> None:
    scores = {
        "val": evaluation(0.7),
        "val, multi-scale and flip": evaluation(0.8, scales=(0.5, 1.0), flip=True),
        "val, flip": evaluation(0.71, flip=True),
        "val, at 512 x 1024": evaluation(0.72, size=(512, 1024)),
        "val, crops of 769 x 769": evaluation(0.73, crop=(769, 769), step=2 / 3),
        "val, crops of 769 x 769 by 1/2": evaluation(0.74, crop=(769, 769), step=1 / 2),
        "val, flip, long side 2048, crops of 705 x 705": evaluation(
            0.75, flip=True, long_side=2048, crop=(705, 705), step=2 / 3
        ),
    }
    val = ScoreColumn("cityscapes")
    found = {recipe: find_evaluation(recipe, val, scores) for recipe in ("flanet", "attanet", "ssanet", "psanet")}
    assert [one and one.miou for one in found.values()] == [0.7, 0.72, 0.73, 0.75]
    assert find_evaluation("flanet", replace(val, multi_scale=True), scores) == scores["val, multi-scale and flip"]
    assert find_evaluation("flanet", replace(val, split="test"), scores) is None
    off = {"val, without context": replace(scores["val"], context=False)}
    assert find_evaluation("flanet", val, off) is None
    for recipe, words in {"attanet": "at 512 x 1024", "ssanet": "crops of 769 x 769"}.items():
        others = {name: one for name, one in scores.items() if name != f"val, {words}"}
        assert find_evaluation(recipe, val, others) is None


def test_the_file_name_of_the_commands_decides_between_two_checkpoints(folder: Path) -> None:
    table = PAPER_TABLES["ssanet-1"]
    (run,) = runs_of(table, table.rows[-1])
    write_checkpoint(folder / run.file, nn.Linear(1, 1), read_record(folder / "own.safetensors"))
    found = find_run(run, read_folder(folder).stored)
    assert found is not None
    assert found.path.name == run.file


# ---- forms -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blocks() -> FilledTable:
    return fill_table(PAPER_TABLES["flanet-3"], NOTHING)


def test_the_text_has_the_papers_numbers_beside_ours(blocks: FilledTable) -> None:
    lines = format_filled(blocks).splitlines()
    assert lines[0] == "FLANet, Table 3: non-local blocks on the Cityscapes val set, and what each adds"
    assert lines[2].split() == ["row", "SS(%)", "here", "MS+F(%)", "here", "GFLOPs", "here", "Memory", "here"]
    spatial = next(line for line in lines if line.startswith("+Spatial NL"))
    assert spatial.split()[2:] == ["76.3", "-", "77.6", "-", "103.90", "103.88", "1320", "-"]
    assert "Time, FPS and memory are measured with --measure." in lines
    assert sum(line.startswith("python -m segviz train --model flanet_r50") for line in lines) == 8


def test_json_holds_both_numbers_and_how_they_came(blocks: FilledTable) -> None:
    entry = json.loads(json.dumps(table_as_dict(blocks)))
    assert [column["kind"] for column in entry["columns"]] == ["miou", "miou", "gflops", "memory"]
    row = entry["rows"][-1]
    assert (row["row"], row["model"], row["options"]) == ("+FLA(Ours)", "flanet_r50", {})
    assert row["values"][2]["paper"] == 19.37
    assert row["values"][2]["here"] == pytest.approx(19.43, abs=0.01)
    assert row["values"][0] == {"paper": 78.9, "here": None, "evaluation": None, "checkpoint": None, "steps": None}
    assert len(row["train"]) == 1


def test_csv_has_a_column_for_the_paper_and_one_for_us(blocks: FilledTable) -> None:
    rows = list(csv.DictReader(io.StringIO(table_csv(blocks))))
    assert list(rows[0])[:5] == ["group", "row", "model", "SS(%), paper", "SS(%), here"]
    assert rows[1]["row"] == "+EMA"
    assert rows[1]["model"] == "flanet_r50 block=ema"
    assert float(rows[1]["GFLOPs, paper"]) == 13.91
    assert rows[1]["Memory, here"] == ""


@pytest.mark.parametrize("table", PAPER_TABLES.values(), ids=lambda table: table.name)
def test_every_empty_cell_has_a_sentence(table: PaperTable) -> None:
    text = format_filled(fill_table(replace(table, size=None), NOTHING))
    if any(column.scored and column.scored.split == "test" for column in table.columns):
        assert "The labels of test splits are not public" in text
    if any(row.network is None for row in table.rows):
        assert "Rows that are never filled: " in text
    assert "A row without a checkpoint has no score here" in text


def test_the_page_on_tables_lists_them_all() -> None:
    page = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()
    listed = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (\d+) of (\d+) \|", page, re.MULTILINE)
    assert listed == [
        (table.name, table.title, str(sum(row.network is not None for row in table.rows)), str(len(table.rows)))
        for table in PAPER_TABLES.values()
    ]


def test_the_page_s_example_is_what_is_printed(blocks: FilledTable) -> None:
    page = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()
    table, _, _ = format_filled(blocks).partition("\n\nNot in ")
    assert f"$ python -m segviz table flanet-3\n{table}" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flanet-3", "attanet-2", "attanet-3", "attanet-4", "attanet-5"])
def test_the_page_s_counts_are_those_of_the_networks(name: str) -> None:
    page = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()
    table = PAPER_TABLES[name]
    _, _, section = page.partition(f"**{table.source}**, ")
    lines = section.partition("\n\n|")[2].partition("\n\n")[0].splitlines()[2:]
    shown = [[cell.strip() for cell in line.strip("|").split("|")][2::3] for line in lines]
    columns = [(at, column) for at, column in enumerate(table.columns) if column.kind in COUNTED_KINDS]
    counted = [
        [f"{one.cells[at].value:.{digits_of(column)}f}" for at, column in columns]
        for one in fill_table(table, NOTHING).rows
        if one.cells[columns[0][0]].value is not None
    ]
    assert shown == counted


def test_groups_have_a_heading_in_the_text() -> None:
    lines = format_filled(fill_table(replace(PAPER_TABLES["psanet-6"]), NOTHING)).splitlines()
    assert lines[3] == "[fine labels]"
    assert lines[lines.index("[fine and coarse labels]") + 1].startswith("LRR-4x")


# ---- the command -------------------------------------------------------------------------------------------


def test_without_a_name_all_tables_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_segviz("table") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(TABLE_NAMES)
    assert run_segviz("table", "--json") == 0
    assert [one["table"] for one in json.loads(capsys.readouterr().out)] == list(TABLE_NAMES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flanet-6"], "table 'flanet-6' is unknown"),
        (["flanet-1", "--measure"], "no column that is measured"),
        (["flanet-2", "--size", "512", "512"], "no costs of networks"),
        (["psanet-6", "--data", "x"], "no scores on a val split"),
        (["--measure"], "belongs to one table"),
        (["ssanet-1", "--device", "cpu"], "--device"),
    ],
)
def test_options_without_effect_are_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_segviz("table", *words) == 2
    text = capsys.readouterr().err
    assert said in text
    assert len(text.strip().splitlines()) == 1


def test_a_folder_of_checkpoints_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_segviz("table", "ssanet-1", "--checkpoints", "nowhere") == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_commands_name_the_given_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_segviz("table", "ssanet-1", "--commands", "--data", "/cities") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert all("--data /cities" in line for line in lines)
    assert sum(line.startswith("python -m segviz evaluate") for line in lines) == 8


def test_data_scores_what_lacks_a_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, checkpoints = write_cityscapes(tmp_path / "cities"), tmp_path / "checkpoints"
    options = {"block": "none", "decoder": False}
    torch.manual_seed(0)
    record = Record("ssanet_mbv2", CITYSCAPES, "mobilenetv2_100", 16, options=resolve_network("ssanet_mbv2", options))
    path = checkpoints / "baseline.safetensors"
    write_checkpoint(path, build("ssanet_mbv2", len(CITYSCAPES), options=options), record)
    words = ("table", "ssanet-2", "--checkpoints", checkpoints, "--data", root, "--device", "cpu", "--json")
    assert run_segviz(*words) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    scored = read_record(path).evaluations["val, crops of 769 x 769"]
    assert row["values"][1]["here"] == pytest.approx(100 * scored.miou)
    assert row["values"][1]["evaluation"].startswith("cities val (1 picture)")
    assert row["train"] == []


def test_data_of_other_classes_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "streets"
    root.mkdir()
    (root / "meta.json").write_text(json.dumps({"classes": ["road", "sky"], "void": 255}))
    assert run_segviz("table", "ssanet-1", "--checkpoints", folder, "--data", root, "--device", "cpu") == 2
    assert "streets does not have the classes of cityscapes, which ssanet-1 is scored on" in capsys.readouterr().err


@pytest.mark.slow
def test_a_command_of_a_table_trains_a_checkpoint_that_fills_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, checkpoints = write_cityscapes(tmp_path / "cities"), tmp_path / "checkpoints"
    for kind in ("leftImg8bit", "gtFine"):
        shutil.copytree(root / kind / "val", root / kind / "train")
    table = PAPER_TABLES["ssanet-2"]
    (run,) = runs_of(table, table.rows[-1])
    words, _ = run_commands(table, run, checkpoints, str(root))
    start = words.index("--init")
    typed = words[len(COMMAND_START) : start] + words[start + 2 :]  # without what would be fetched
    assert run_segviz(*typed, "--steps", 2, "--batch", 2, "--crop", 64, 64, "--device", "cpu") == 0
    capsys.readouterr()
    asked = ("table", "ssanet-2", "--checkpoints", checkpoints, "--json")
    assert run_segviz(*asked) == 0
    score = json.loads(capsys.readouterr().out)["rows"][-1]["values"][1]
    assert score["here"] is None  # training scores whole pictures, and SSANet's protocol has crops
    assert run_segviz(*asked, "--data", root, "--device", "cpu") == 0
    row = json.loads(capsys.readouterr().out)["rows"][-1]
    score = row["values"][1]
    assert score["here"] is not None
    assert (Path(score["checkpoint"]).name, score["steps"]) == (run.file, 2)
    assert row["train"] == []


def test_a_count_far_from_the_papers_leads_to_the_reason() -> None:
    for name, far in ("attanet-2", False), ("attanet-3", True), ("flanet-3", False):
        text = format_filled(fill_table(PAPER_TABLES[name], NOTHING))
        assert ("differ from the paper's by more than 2 %: docs/tables.md says why" in text) == far
    smaller = format_filled(fill_table(PAPER_TABLES["attanet-3"], NOTHING, (512, 512)))
    assert "docs/tables.md" not in smaller  # another size costs less, and the reader asked for it
