"""The papers' tables: the form of their numbers, the networks and commands behind each row, and what is counted."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from layout_cases import make_ade20k, make_context
from table_cases import NOTHING, OURS, printed

from segviz.cli.main import main
from segviz.cli.parser import build_parser
from segviz.cli.table_parser import TABLE_NAMES
from segviz.models.registry import NETWORK_NAMES, resolve_network
from segviz.paper_tables.commands import COMMAND_START, run_commands, runs_of, table_commands
from segviz.paper_tables.count import count_choice
from segviz.paper_tables.description import NetworkChoice, PaperRow, PaperTable
from segviz.paper_tables.filled import fill_table
from segviz.paper_tables.tables import PAPER_TABLES

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
            assert column.scored is None or column.kind in ("miou", "accuracy")


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
    assert scored[-4:] == ["--record", "--flip", "--scales", "0.5,0.75,1,1.25,1.5,1.75"]


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


def test_psanet_of_fine_train_and_val_and_pspnet_are_one_run_in_all_tables() -> None:
    files = {
        name: {run.file for row in PAPER_TABLES[name].rows for run in runs_of(PAPER_TABLES[name], row)}
        for name in ("psanet-6", "flanet-1", "ssanet-3")
    }
    shared = files["psanet-6"] & files["flanet-1"] & files["ssanet-3"]
    assert shared == {
        "psanet_cityscapes_psanet_r101_mask-89x89_train+val.safetensors",
        "psanet_cityscapes_psanet_r101_block-ppm.safetensors",
    }


def test_a_network_of_ours_is_ours_in_every_table() -> None:
    """No table cites on a ResNet what another table has as a network of this package."""
    for table in PAPER_TABLES.values():
        for row in table.rows:
            if row.label.startswith(("PSPNet", "PSANet", "AttaNet", "SSANet", "FLANet")):
                assert row.network is not None, (table.name, row.label)


def test_the_papers_labels_are_the_tables() -> None:
    assert "G-CRF" in [row.label for row in PAPER_TABLES["psanet-3"].rows]


def test_data_of_another_table_is_refused_and_each_folder_stands_for_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ade, context = tmp_path / "ade", tmp_path / "context"
    make_ade20k(ade)
    make_context(context)
    for more in ((), ("--commands",)):
        assert main(["table", "psanet-5", "--data", str(ade), *more]) == 2
        error = capsys.readouterr().err
        assert f"{ade} does not have the classes of cityscapes, which psanet-5 is scored on; name the folder" in error
    assert main(["table", "ssanet-4", "--commands", "--data", str(context), str(ade)]) == 0
    trained = [line for line in capsys.readouterr().out.splitlines() if " train --model " in line]
    assert [f"--data {ade}" in line or f"--data {context}" in line for line in trained] == [True, True]
    assert len({line.partition(" --data ")[2].split()[0] for line in trained}) == 2


def test_networks_start_from_imagenet_where_their_paper_does() -> None:
    lines = [line for line in table_commands(PAPER_TABLES["attanet-4"], Path("out")) if " train --model " in line]
    assert [line.split()[5] for line in lines if "--init imagenet" not in line] == [
        "attanet_df1", "attanet_df1", "attanet_df2", "attanet_df2"
    ]  # fmt: skip
    assert len(lines) == 10


def evaluations_of(name: str) -> dict[str, list[str]]:
    """How a table's checkpoints are scored: what follows --record, by data set."""
    found: dict[str, list[str]] = {}
    for line in table_commands(PAPER_TABLES[name], Path("out")):
        if " evaluate " in line:
            data = line.partition(" --data ")[2].split()[0]
            found.setdefault(data, []).append(line.partition(" --record")[2].strip())
    return {data: list(dict.fromkeys(ways)) for data, ways in found.items()}


SIX_SCALES = "--flip --scales 0.5,0.75,1,1.25,1.5,1.75"


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("flanet-2", {"CITYSCAPES": ["--multi-scale"]}),
        ("attanet-2", {"CITYSCAPES": ["--input-size 512,1024"]}),
        (
            "attanet-5",
            {"ADE20K": ["--crop 465 465 --long-side 512 --flip", ""]},  # its PSPNet and PSANet are scored as PSANet's
        ),
        ("ssanet-1", {"CITYSCAPES": ["--crop 769 769"]}),
        ("ssanet-4", {"ADE20K": [SIX_SCALES], "PASCAL_CONTEXT": [SIX_SCALES]}),
        (
            "psanet-1",
            {"ADE20K": [f"--crop 465 465 --long-side 512 {flip}" for flip in ("--flip", SIX_SCALES)]},
        ),
        (
            "psanet-5",
            {"CITYSCAPES": [f"--crop 705 705 --long-side 2048 {flip}" for flip in ("--flip", SIX_SCALES)]},
        ),
    ],
)
def test_networks_are_scored_by_their_papers_protocols(name: str, ways: dict[str, list[str]]) -> None:
    assert evaluations_of(name) == ways


def test_the_page_on_protocols_scores_as_the_tables_do() -> None:
    page = (Path(__file__).parents[1] / "docs" / "protocols.md").read_text()
    for name in ("flanet-2", "attanet-2", "ssanet-1", "psanet-1", "psanet-5"):
        ((_, ways),) = evaluations_of(name).items()
        for words in ways:
            assert f"`evaluate --model M --data DIR {words}`" in page


def test_psanets_of_cityscapes_have_masks_for_their_crops() -> None:
    lines = list(table_commands(PAPER_TABLES["psanet-5"], Path("out")))
    assert sum(" evaluate " in line for line in lines) == 12
    assert sum(" train --model " in line and "--option mask=89,89" in line for line in lines) == 4


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
