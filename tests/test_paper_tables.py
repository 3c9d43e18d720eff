"""The papers' tables: their numbers' form, the networks and commands behind each row, and what is shown beside them."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segviz.catalogue.checkpoint_file import read_record, write_checkpoint
from segviz.catalogue.record import Evaluation, Record
from segviz.cli import main
from segviz.cli.parser import build_parser
from segviz.cli.table_parser import TABLE_NAMES
from segviz.data.class_sets import CLASS_SETS
from segviz.models.registry import NETWORK_NAMES, build, resolve_network
from segviz.paper_tables.commands import COMMAND_START, run_commands, runs_of, table_commands
from segviz.paper_tables.count import count_choice
from segviz.paper_tables.description import NetworkChoice, PaperRow, PaperTable, ScoreProtocol
from segviz.paper_tables.filled import FilledTable, fill_table
from segviz.paper_tables.scores import CheckpointFolder, find_evaluation, find_run, read_folder
from segviz.paper_tables.show import format_filled, table_as_dict, table_csv
from segviz.paper_tables.tables import PAPER_TABLES, find_table

CITYSCAPES = CLASS_SETS["cityscapes"].names
NOTHING = CheckpointFolder(Path("nowhere"), ())
OURS = [(table, row) for table in PAPER_TABLES.values() for row in table.rows if row.network is not None]


def segviz(*arguments: object) -> int:
    """Run a command in this process and give its exit code."""
    try:
        return main.main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def printed(table: str, label: str, column: int, group: str = "") -> float:
    """A printed number."""
    rows = [row for row in PAPER_TABLES[table].rows if row.label == label and row.group in (group, row.group)]
    value = rows[0].printed[column]
    assert isinstance(value, int | float)
    return value


def evaluation(miou: float, *, scales: tuple[float, ...] = (1.0,), flip: bool = False) -> Evaluation:
    """Scores on Cityscapes' val."""
    zeros = tuple((0,) * len(CITYSCAPES) for _ in CITYSCAPES)
    return Evaluation("cityscapes val", 500, miou, 0.9, {}, {}, zeros, scales, flip)


# ---- the description ---------------------------------------------------------------------------------------


def test_the_command_line_names_all_tables() -> None:
    assert tuple(PAPER_TABLES) == TABLE_NAMES
    counts = {paper: sum(name.startswith(paper) for name in TABLE_NAMES) for paper in ("fla", "atta", "ssa", "psa")}
    assert counts == {"fla": 5, "atta": 5, "ssa": 4, "psa": 6}


@pytest.mark.parametrize("table", PAPER_TABLES.values(), ids=lambda table: table.name)
def test_numbers_are_of_their_columns_kind(table: PaperTable) -> None:
    for row in table.rows:
        for column, value in zip(table.columns, row.printed, strict=True):
            if column.kind == "text" or value is None:
                continue
            assert isinstance(value, int | float)
            assert value > 0
            if column.kind in ("miou", "accuracy"):
                assert 20 < value < 100
            assert column.protocol is None or column.kind in ("miou", "accuracy")


def test_a_row_has_a_value_for_each_column() -> None:
    table = PAPER_TABLES["ssanet-4"]
    with pytest.raises(ValueError, match="'EncNet' has 1 values for 2 columns"):
        replace(table, rows=(PaperRow("EncNet", (44.65,)),))


def test_the_numbers_agree_with_what_the_papers_say_of_them() -> None:
    both, collect, baseline = (
        printed("psanet-1", f"ResNet50{name}", 0) for name in ("+COLLECT+DISTRIBUTE", "+COLLECT", "-Baseline")
    )
    assert (round(both - baseline, 2), round(collect - baseline, 2)) == (4.69, 4.04)  # PSANet, 4.2
    saved = [1 - 0.185 / printed("attanet-3", name, 1) for name in ("NL", "RCCA", "EMA")]
    assert [round(100 * share, 1) for share in saved] == [94.5, 60.8, 44.8]  # AttaNet, ablation study
    assert printed("attanet-2", "SAM + AFM", 1) == round(printed("attanet-2", "SAM + AFM", 0) - 72.8, 1)
    assert round(1 - printed("flanet-3", "+FLA(Ours)", 2) / printed("flanet-3", "+Dual NL", 2), 2) == 0.83  # FLANet
    added = printed("flanet-3", "+FLA(Ours)", 2) - printed("flanet-3", "+Channel NL", 2)
    assert round(added, 2) == 9.71  # FLANet, comparison with NL methods
    assert printed("ssanet-1", "Baseline + SNL + GP", 1) == 74.94


# ---- networks and commands ---------------------------------------------------------------------------------


def test_every_row_of_ours_names_a_network_and_its_options() -> None:
    for _, row in OURS:
        assert row.network is not None
        assert row.network.model in NETWORK_NAMES
        settings = resolve_network(row.network.model, row.network.options)
        assert {name: settings[name] for name in row.network.options} == dict(row.network.options)


def test_different_rows_of_a_table_are_different_networks() -> None:
    for table in PAPER_TABLES.values():
        rows = [row for row in table.rows if row.network is not None and "aseline" not in row.label]
        networks = [(repr(row.network), row.split, row.recipe) for row in rows]
        assert len(set(networks)) == len(networks), table.name


@pytest.mark.parametrize("table", PAPER_TABLES.values(), ids=lambda table: table.name)
def test_every_command_of_a_table_is_understood(table: PaperTable) -> None:
    lines = list(table_commands(table, Path("checkpoints")))
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert tuple(words[: len(COMMAND_START)]) == COMMAND_START
        build_parser().parse_args(words[len(COMMAND_START) :])


def test_equal_runs_of_several_tables_share_a_checkpoint() -> None:
    first, second = (
        {run.file for row in PAPER_TABLES[name].rows for run in runs_of(PAPER_TABLES[name], row)}
        for name in ("psanet-1", "psanet-2")
    )
    assert "psanet_ade20k_psanet_r50.safetensors" in first & second
    assert len(first & second) == 3  # PSPNet50, PSANet50, PSANet101


def test_a_network_on_two_data_sets_is_trained_on_each() -> None:
    table = PAPER_TABLES["ssanet-4"]
    runs = runs_of(table, table.rows[-1])
    assert [run.data for run in runs] == ["ade20k", "context59"]
    trained, scored = run_commands(table, runs[1], Path("out"))
    assert trained[trained.index("--data") + 1] == "PASCAL_CONTEXT"
    assert "points=49" in trained
    assert scored[-1] == "--multi-scale"


def test_runs_are_trained_on_the_papers_splits() -> None:
    table = PAPER_TABLES["psanet-6"]
    files = [run.file for row in table.rows for run in runs_of(table, row)]
    assert len(set(files)) == len(files) == 5
    lines = list(table_commands(table, Path("out")))
    assert sum("--split train+val " in line for line in lines) == 1
    assert sum("--split train+coarse_train_extra " in line for line in lines) == 2
    voc = [line for line in table_commands(PAPER_TABLES["flanet-5"], Path("out")) if " train --model " in line]
    assert len(voc) == 2
    assert all("--split train_aug " in line for line in voc)


def test_networks_start_from_imagenet_where_their_paper_does() -> None:
    lines = [line for line in table_commands(PAPER_TABLES["attanet-4"], Path("out")) if " train --model " in line]
    assert [line.split()[5] for line in lines if "--init imagenet" not in line] == [
        "attanet_df1", "attanet_df1", "attanet_df2", "attanet_df2"
    ]  # fmt: skip
    assert len(lines) == 10


def test_psanets_are_scored_on_crops_of_the_trainings_size() -> None:
    lines = list(table_commands(PAPER_TABLES["psanet-5"], Path("out")))
    scored = [line for line in lines if " evaluate " in line]
    assert all(line.endswith("--record --multi-scale --crop 705 705") for line in scored)
    assert len(scored) == len(lines) / 2 == 6
    assert sum("--option mask=89,89" in line for line in lines) == 4


# ---- counting ----------------------------------------------------------------------------------------------


def test_attanets_modules_cost_what_its_table_says() -> None:
    filled = fill_table(PAPER_TABLES["attanet-2"], NOTHING)
    counted = [one.cells[2].value for one in filled.rows]
    assert counted[0] is None
    assert counted[1:] == [pytest.approx(value, rel=0.01) for value in (0.185, 0.336, 0.521)]


def test_blocks_cost_what_flanets_table_says() -> None:
    filled = fill_table(PAPER_TABLES["flanet-3"], NOTHING)
    for one in filled.rows[1:]:
        assert one.cells[2].value == pytest.approx(one.row.printed[2], rel=0.004)
        assert one.cells[3].value is None  # memory is not measured unless it is asked


def test_counting_takes_no_memory_and_scales_with_the_picture() -> None:
    choice = NetworkChoice("ssanet_mbv2", {"block": "none", "decoder": False})
    small, large = (count_choice(choice, 19, (side, side)) for side in (512, 1024))
    assert small.parameters == large.parameters
    assert large.gflops == pytest.approx(4 * small.gflops, rel=0.01)


# ---- checkpoints -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints of SSANet's Table 1, one of another network, and a file that is none."""
    evaluations = {
        "val": evaluation(0.7451),
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


def test_scores_come_from_the_record_with_their_protocol(folder: Path) -> None:
    filled = fill_table(PAPER_TABLES["ssanet-1"], read_folder(folder))
    scores = [one.cells[1].value for one in filled.rows]
    assert scores == [None, None, None, pytest.approx(74.51), None, None, None, None]
    text = format_filled(filled)
    assert (
        "Scored: alone.safetensors, 0 steps of training: cityscapes val (500 pictures), whole pictures at one scale."
        in text
    )
    assert "A checkpoint without the scores of this table: Baseline + SNL + GP + Decoder;" in text
    assert "broken.safetensors" in text


def test_a_score_is_of_the_columns_scales() -> None:
    scores = {"val": evaluation(0.7), "val, multi-scale and flip": evaluation(0.8, scales=(0.5, 1.0), flip=True)}
    single, multi = (find_evaluation(ScoreProtocol("cityscapes", multi_scale=many), scores) for many in (False, True))
    assert (single, multi) == (scores["val"], scores["val, multi-scale and flip"])
    assert find_evaluation(ScoreProtocol("cityscapes", "test"), scores) is None
    off = {"val, without context": replace(scores["val"], context=False)}
    assert find_evaluation(ScoreProtocol("cityscapes"), off) is None


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
    if any(column.protocol and column.protocol.split == "test" for column in table.columns):
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


# ---- the command -------------------------------------------------------------------------------------------


def test_without_a_name_all_tables_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert segviz("table") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(TABLE_NAMES)
    assert segviz("table", "--json") == 0
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
    assert segviz("table", *words) == 2
    text = capsys.readouterr().err
    assert said in text
    assert len(text.strip().splitlines()) == 1


def test_a_folder_of_checkpoints_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert segviz("table", "ssanet-1", "--checkpoints", "nowhere") == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_commands_name_the_given_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert segviz("table", "ssanet-1", "--commands", "--data", "/cities") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert all("--data /cities" in line for line in lines)
    assert sum(line.startswith("python -m segviz evaluate") for line in lines) == 8


def test_an_unknown_table_is_refused_from_python_too() -> None:
    with pytest.raises(ValueError, match="table 'psanet-7' is unknown"):
        find_table("psanet-7")


def test_data_scores_what_lacks_a_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, checkpoints = write_cityscapes(tmp_path / "cities"), tmp_path / "checkpoints"
    options = {"block": "none", "decoder": False}
    torch.manual_seed(0)
    record = Record("ssanet_mbv2", CITYSCAPES, "mobilenetv2_100", 16, options=resolve_network("ssanet_mbv2", options))
    path = checkpoints / "baseline.safetensors"
    write_checkpoint(path, build("ssanet_mbv2", len(CITYSCAPES), options=options), record)
    words = ("table", "ssanet-2", "--checkpoints", checkpoints, "--data", root, "--device", "cpu", "--json")
    assert segviz(*words) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    scored = read_record(path).evaluations["val"]
    assert row["values"][1]["here"] == pytest.approx(100 * scored.miou)
    assert row["values"][1]["evaluation"].startswith("cities val (1 pictures)")
    assert row["train"] == []


def test_data_of_other_classes_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "streets"
    root.mkdir()
    (root / "meta.json").write_text(json.dumps({"classes": ["road", "sky"], "void": 255}))
    assert segviz("table", "ssanet-1", "--checkpoints", folder, "--data", root, "--device", "cpu") == 2
    assert "streets does not have the classes of cityscapes, which own.safetensors needs" in capsys.readouterr().err


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
    assert segviz(*typed, "--steps", 2, "--batch", 2, "--crop", 64, 64, "--device", "cpu") == 0
    capsys.readouterr()
    assert segviz("table", "ssanet-2", "--checkpoints", checkpoints, "--json") == 0
    row = json.loads(capsys.readouterr().out)["rows"][-1]
    score = row["values"][1]
    assert score["here"] is not None
    assert (Path(score["checkpoint"]).name, score["steps"]) == (run.file, 2)
    assert row["train"] == []


def write_cityscapes(root: Path) -> Path:
    """One picture of Cityscapes' val in its own layout."""
    place = {kind: root / kind / "val" / "aachen" for kind in ("leftImg8bit", "gtFine")}
    for folder in place.values():
        folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(picture).save(place["leftImg8bit"] / "aachen_0_0_leftImg8bit.png")
    labels = random.choice(np.array([7, 8, 11], np.uint8), (64, 96))
    Image.fromarray(labels).save(place["gtFine"] / "aachen_0_0_gtFine_labelIds.png")
    return root
