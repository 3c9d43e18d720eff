"""Cue scenes: their labels are right by construction, nothing local tells them, and the records are true."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from test_pages import pages_of_the_app as pages_of_the_app

from segviz.catalogue.checkpoint_checks import CheckpointError
from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.cue_file import cue_path, read_cue_network, read_cue_record, write_cue_network
from segviz.catalogue.cue_record import CueMeasurement, CueRecord
from segviz.cli.main import main
from segviz.data.scenes.cues import CUE_COLOURS, CUE_GRID, CUE_KINDS, CUE_RGB, draw_cue_scene
from segviz.evaluation.cues import MEASURED_SEEDS, measure_cues, weight_on_cue
from segviz.models.cue_network import CUE_BLOCKS, CueNetwork, cell_influences, images_of
from segviz.models.registry import MODELS
from segviz.paths import BUNDLED
from segviz.prediction.cue_prediction import CELL, predict_cues, true_labels
from segviz.results.cue_table import (
    CUE_MEASURES,
    cue_table,
    describe_measure,
    describe_training,
    expectation,
    read_cue_records,
    surprises,
)
from segviz.results.cue_theory import CUE_REASONS, NEARER_ALONG_AN_AXIS, THEORY, CanTell
from segviz.server.launch import app_script
from segviz.training.cue_options import CUE_KIND_NAMES, CueOptions
from segviz.training.cues import train_network
from segviz.ui.cues import BLOCK, KIND
from segviz.ui.page_table import ROWS

BUNDLED_CUES = sorted((BUNDLED / "cues").glob("*.safetensors"))
SEES = 3  # cells that a thing's cell sees from the thing's centre: its own distance of 1, and 2 of two convolutions
WHITE = (250, 250, 250)

Marks = dict[tuple[int, int], frozenset[tuple[int, int]]]  # the cells of each mark, by its middle


def read_marks(image: np.ndarray, colour: tuple[int, ...]) -> Marks:
    """The marks of a colour, found in the picture alone: groups of its cells that lie in 3 x 3 cells."""
    left = set(map(tuple, np.argwhere((image == colour).all(2)).tolist()))
    marks = {}
    while left:
        row, column = min(left)
        # No two marks touch, so all of a mark's cells are within two rows and columns of its first one.
        cells = {cell for cell in left if cell[0] - row <= 2 and abs(cell[1] - column) <= 2}
        left -= cells
        rows, columns = zip(*cells, strict=True)
        middle = (min(rows) + max(rows)) // 2, (min(columns) + max(columns)) // 2
        marks[middle] = frozenset((one[0] - middle[0], one[1] - middle[1]) for one in cells)
    return marks


def read_classes(image: np.ndarray, kind: str) -> dict[tuple[int, int], int]:
    """Every thing's class by its middle, read from the picture by the rule's words."""
    cues = {
        middle: (number, shape)
        for number, colour in enumerate(CUE_RGB.tolist())
        for middle, shape in read_marks(image, tuple(colour)).items()
    }
    classes = {}
    for (row, column), shape in read_marks(image, WHITE).items():
        distances = {middle: (middle[0] - row) ** 2 + (middle[1] - column) ** 2 for middle in cues}
        meant = {
            "anywhere": lambda _: True,
            "row": lambda middle, row=row: middle[0] == row,
            "column": lambda middle, column=column: middle[1] == column,
            "shape": lambda middle, shape=shape: cues[middle][1] == shape,
            "nearer": lambda middle, near=distances: near[middle] == min(near.values()),
        }[kind]
        (number,) = (number for middle, (number, _) in cues.items() if meant(middle))
        classes[row, column] = number
    return classes


@pytest.mark.parametrize("kind", CUE_KINDS)
def test_the_labels_are_what_an_independent_reader_finds_in_the_picture(kind: str) -> None:
    for seed in range(60):
        scene = draw_cue_scene(kind, seed)
        told = {(thing.row, thing.column): number for thing, number in zip(scene.things, scene.classes, strict=True)}
        assert read_classes(scene.image, kind) == told


@pytest.mark.parametrize("kind", CUE_KINDS)
def test_a_thing_looks_the_same_whatever_its_class_and_no_cue_is_within_the_convolutions_reach(kind: str) -> None:
    counts = np.zeros(len(CUE_COLOURS))
    for seed in range(60):
        scene = draw_cue_scene(kind, seed)
        for thing, number in zip(scene.things, scene.classes, strict=True):
            counts[number] += 1
            assert min(thing.steps_to(cue) for cue in scene.cues) - 1 > SEES
            around = scene.image[max(thing.row - SEES, 0) : thing.row + SEES + 1]
            around = around[:, max(thing.column - SEES, 0) : thing.column + SEES + 1]
            assert (np.ptp(around.astype(int), 2) == 0).all()  # grey and white only: no cue's colour
    assert counts.min() / counts.sum() > 0.23


def test_a_scene_depends_on_its_kind_and_seed_alone() -> None:
    one, again, other = (draw_cue_scene("row", seed) for seed in (5, 5, 6))
    assert np.array_equal(one.image, again.image)
    assert one.things == again.things
    assert not np.array_equal(one.image, other.image)
    with pytest.raises(KeyError, match="'corner' is unknown; the kinds are anywhere"):
        draw_cue_scene("corner", 0)


def test_the_convolutions_see_five_by_five_cells() -> None:
    images = torch.randn(1, 3, *CUE_GRID, requires_grad=True)
    CueNetwork("fcn", 3).eval()(images).logits[0, :, 12, 16].sum().backward()
    assert images.grad is not None
    rows, columns = images.grad[0].abs().sum(0).nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 14, 14, 18)


def test_theory_names_every_block_and_kind() -> None:
    assert set(THEORY) == set(CUE_REASONS) == set(CUE_BLOCKS) == set(MODELS)
    assert {len(row) for row in THEORY.values()} == {len(CUE_KINDS)}
    assert tuple(CUE_KINDS) == CUE_KIND_NAMES


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two networks of one step each."""
    folder = tmp_path_factory.mktemp("cues")
    arguments = ["train-cues", "--blocks", "spatial_nl", "psa", "--kinds", "row", "--steps", "1", "--batch", "2"]
    assert main([*arguments, "--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_networks_that_are_missing(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = cue_path("psa", "row", trained)
    before = kept.read_bytes()
    first = cue_path("spatial_nl", "row", trained)
    weights = first.read_bytes()
    first.unlink()
    arguments = ["train-cues", "--blocks", "spatial_nl", "psa", "--kinds", "row", "--steps", "1", "--batch", "2"]
    assert main([*arguments, "--out", str(trained)]) == 0
    assert kept.read_bytes() == before
    network, again = torch_weights(weights, trained), read_cue_network(first)[0].state_dict()
    assert all(torch.equal(network[name], again[name]) for name in network)  # the same seed gives the same weights
    assert "psa" in capsys.readouterr().out


def torch_weights(data: bytes, folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "copy.safetensors"
    path.write_bytes(data)
    state = read_cue_network(path)[0].state_dict()
    path.unlink()
    return state


def record(**changes: object) -> CueRecord:
    measured = CueMeasurement(400, 200, MEASURED_SEEDS, {"spatial": 0.5}, 0.25, 100)
    versions = {"torch": "2"}
    start = CueRecord("spatial_nl", "row", CUE_COLOURS, 0, 300, 300, 8, 2e-3, 0.7, "command", 1.5, "CPU", "2026-11-29",
                      versions, measured)  # fmt: skip
    return replace(start, **changes)  # type: ignore[arg-type]


def test_a_file_gives_back_the_network_and_its_record(tmp_path: Path) -> None:
    network = CueNetwork("rcca", 3).eval()
    path = cue_path("rcca", "row", tmp_path)
    write_cue_network(path, network, record(block="rcca"))
    again, read = read_cue_network(path)
    assert read == record(block="rcca") == read_cue_record(path)
    assert all(torch.equal(value.half().float(), again.state_dict()[name].float())
               for name, value in network.state_dict().items() if value.is_floating_point())  # fmt: skip
    assert path.stat().st_size < 2**20


@pytest.mark.parametrize("change", ["weights", "record", "block", "cut"])
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path: Path, change: str) -> None:
    path = cue_path("fcn", "row", tmp_path)
    write_cue_network(path, CueNetwork("fcn", 3), record(block="nobody" if change == "block" else "fcn"))
    data = bytearray(path.read_bytes())
    if change == "weights":
        data[-1] ^= 1
    if change == "record":
        data = data.replace(rb"\"correct\": 200", rb"\"correct\": 900")
    path.write_bytes(bytes(data[:-5] if change == "cut" else data))
    with pytest.raises(CheckpointError, match=r"again"):
        read_cue_network(path)


def test_the_interval_is_wilsons() -> None:
    low, high = CueMeasurement(100, 50, 0).interval
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert CueMeasurement(400, 400, 0).interval[1] == 1
    assert CueMeasurement(400, 400, 0).interval[0] == pytest.approx(0.9905, abs=1e-4)


def test_weights_and_influence_are_measured_on_the_cues_nine_cells() -> None:
    torch.manual_seed(0)
    network = CueNetwork("spatial_nl", 3).eval()
    with torch.no_grad():
        network.block.gamma.fill_(1)  # type: ignore[operator]
    scene = draw_cue_scene("row", MEASURED_SEEDS)
    prediction = predict_cues(network, "spatial_nl", scene)
    (map_,) = prediction.spatial_maps
    thing, cue = scene.things[0], scene.cues[scene.meant[0]]
    expected = map_.attends_to(thing.row, thing.column)[
        cue.row - 1 : cue.row + 2, cue.column - 1 : cue.column + 2
    ].sum()
    assert weight_on_cue(map_, scene, 0) == pytest.approx(float(expected), rel=1e-5)
    influence = cell_influences(network, images_of([scene]), [(thing.row, thing.column)])[0]
    share = float(influence[cue.cells].sum() / influence.sum())
    measured = measure_cues(network, "row", 1, 1)
    assert measured.influence == pytest.approx(share, abs=1e-5)
    assert measured.weight["spatial"] == pytest.approx(float(expected), abs=1e-5)


def test_without_a_block_nothing_has_influence() -> None:
    network, scene = CueNetwork("fcn", 3).eval(), draw_cue_scene("row", 0)
    assert not cell_influences(network, images_of([scene]), [(5, 5)]).any()
    assert measure_cues(network, "row", 2, 2).influence is None


def test_the_page_shows_labels_at_things_only() -> None:
    scene = draw_cue_scene("shape", 0)
    prediction = predict_cues(CueNetwork("fcn", 3).eval(), "fcn", scene)
    nine = sum((prediction.labels != 255).ravel()) // CELL**2
    assert nine == 9 * len(scene.things)
    truth = true_labels(scene)
    np.testing.assert_array_equal(truth == 255, prediction.labels == 255)  # so that shares of both can be compared
    for thing, number in zip(scene.things, scene.classes, strict=True):
        assert truth[thing.row * CELL, thing.column * CELL] == number


def test_the_table_has_what_the_records_say_and_names_what_theory_does_not() -> None:
    records = {("spatial_nl", "row"): record(), ("fcn", "row"): record(block="fcn")}
    cells = {measure: cue_table(records, measure)["In the same row"] for measure in CUE_MEASURES}
    at = list(MODELS).index("spatial_nl")
    shown = [str(cells[measure][at]).replace("\N{NO-BREAK SPACE}", " ") for measure in CUE_MEASURES]
    assert shown == ["50 % (45–55) · 1 of 2", "50 %", "25 %"]
    assert cells["Correct answers"][list(MODELS).index("psa")] is None
    assert expectation(record()) is CanTell.EITHER
    (sentence,) = surprises(records)
    assert "FCN" in sentence and sentence.endswith("above the 33\N{NO-BREAK SPACE}% that the argument predicts.")
    assert "2 networks of seed 0" in describe_training(records)


def test_a_network_that_beats_theory_is_marked_and_told_what_the_argument_leaves_out() -> None:
    better = CueMeasurement(400, 300, MEASURED_SEEDS, {}, 0.25, 100)
    kinds = {("rcca", "nearer"): better, ("ema", "nearer"): better, ("rcca", "row"): better}
    records = {(block, kind): record(block=block, kind=kind, measured=one) for (block, kind), one in kinds.items()}
    table = cue_table(records, "Correct answers")
    cells = {block: str(table["The nearer of two"][list(MODELS).index(block)]) for block in ("rcca", "ema")}
    assert all(cell.replace("\N{NO-BREAK SPACE}", " ").endswith("· 1 of 2 ↑") for cell in cells.values())
    assert "↑" not in str(table["In the same row"])
    told = {sentence.split(":")[0]: sentence for sentence in surprises(records)}
    rcca, ema = (told[f"**{MODELS[block].title}, the nearer of two**"] for block in ("rcca", "ema"))
    assert "The argument leaves out that the nearer cue often also has the smaller offset" in rcca
    assert ema.endswith("above the 50\N{NO-BREAK SPACE}% that the argument predicts.")
    assert "better than" not in " ".join(told.values())


def test_the_nearer_cue_mostly_has_the_smaller_offset_in_rows_or_in_columns() -> None:
    smaller = []
    for scene in (draw_cue_scene("nearer", number) for number in range(400)):
        for thing, meant in zip(scene.things, scene.meant, strict=True):
            offsets = [min(abs(thing.row - cue.row), abs(thing.column - cue.column)) for cue in scene.cues]
            smaller.append(offsets[meant] < offsets[1 - meant])
    assert sum(smaller) / len(smaller) == pytest.approx(NEARER_ALONG_AN_AXIS, abs=0.03)


@pytest.mark.parametrize("measure", CUE_MEASURES)
def test_each_view_of_the_table_explains_its_own_words_alone(measure: str) -> None:
    records, _ = read_cue_records(BUNDLED / "cues")
    words = re.findall(r"^- \*\*(.+)\*\*: ", describe_measure(measure, cue_table(records, measure)), re.MULTILINE)
    assert words == (["can", "1 of 2", "in reach", "cannot", "↑"] if measure == "Correct answers" else ["–"])


def test_the_reasons_name_the_blocks_that_they_speak_of() -> None:
    assert not [reason for reason in CUE_REASONS.values() if "above" in reason]
    assert CUE_REASONS["cs_nl"].startswith("channel non-local first, then spatial non-local")


def test_the_page_shows_a_network_and_its_first_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages_of_the_app: None
) -> None:
    for block, kind in (("fcn", "row"), ("spatial_nl", "shape")):
        network = CueNetwork(block, 3).eval()
        write_cue_network(cue_path(block, kind, tmp_path / "cues"), network, record(block=block, kind=kind))
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    app = AppTest.from_file(str(app_script()), default_timeout=120).run()
    app.switch_page(ROWS["cues"].script).run()
    assert not app.exception
    assert (app.selectbox(BLOCK).value, app.selectbox(KIND).value) == ("fcn", "row")
    assert any("**Point 1**: the network says" in one.value and "influence of the cue that decides: none" in one.value
               for one in app.markdown)  # fmt: skip
    app.selectbox(BLOCK).select("spatial_nl").run()
    assert "train-cues --blocks spatial_nl --kinds row" in app.info[0].value
    app.selectbox(KIND).select("shape").run()
    assert not app.exception
    assert any("weight on the cue that decides: spatial" in one.value for one in app.markdown)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CUE_KINDS)
def test_a_network_without_context_is_left_at_chance(kind: str) -> None:
    options = CueOptions(("fcn",), (kind,), Path(), steps=200)
    _, trained_record = train_network("fcn", kind, options)
    measured = trained_record.measured
    assert measured.correct / measured.pictures == pytest.approx(1 / 3, abs=0.08)  # 3.4 standard errors


def test_the_bundled_networks_are_all_there_small_and_trained_alike() -> None:
    if len(BUNDLED_CUES) < len(MODELS) * len(CUE_KINDS):
        pytest.skip(f"{len(BUNDLED_CUES)} networks of cue scenes; run `python -m segviz train-cues`")
    records, problems = read_cue_records(BUNDLED / "cues")
    assert not problems
    assert set(records) == {(block, kind) for block in MODELS for kind in CUE_KINDS}
    assert len({(one.seed, one.most_steps, one.batch, one.rate, one.classes) for one in records.values()}) == 1
    assert max(path.stat().st_size for path in BUNDLED_CUES) < 2**19
    for (block, kind), one in records.items():
        if expectation(one) is CanTell.NO:
            assert one.measured.interval[0] < 1 / 3 < one.measured.interval[1], (block, kind)


def test_no_record_names_a_path_of_the_machine_that_trained() -> None:
    commands = [read_cue_record(path).command for path in BUNDLED_CUES]
    commands += [read_record(path).command for path in BUNDLED.glob("*.safetensors")]
    assert commands and [one for one in commands if any(word.startswith(("/", "~")) for word in shlex.split(one))] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", BUNDLED_CUES, ids=lambda path: path.stem)
def test_the_records_numbers_are_those_of_the_bundled_files(path: Path) -> None:
    network, stored = read_cue_network(path)
    again = measure_cues(network, stored.kind, stored.measured.pictures, stored.measured.looked_at)
    assert abs(again.correct - stored.measured.correct) <= 2  # rounding, where two scores are equal but for it
    assert again.weight == pytest.approx(dict(stored.measured.weight), abs=2e-3)
    assert again.influence == pytest.approx(stored.measured.influence, abs=2e-3)


def test_json_keeps_the_scene_number_from_which_it_was_measured() -> None:
    assert json.loads(record().to_json())["measured"]["first_seed"] == MEASURED_SEEDS
