"""The command line as a person meets it: files, texts, exit codes, one sentence for every failure."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from segviz import paths
from segviz.attention.maps import StripAttention
from segviz.attention.statistics import summarise
from segviz.catalogue.checkpoint_file import read_record, write_checkpoint
from segviz.catalogue.record import (
    SCENES,
    SCENES_WITHOUT_CONTEXT,
    VAL,
    VAL_MULTI_SCALE,
    VAL_WITHOUT_CONTEXT,
    Evaluation,
    Record,
    to_json,
)
from segviz.cli import arguments, commands, main, scores
from segviz.cli.errors import describe_error
from segviz.cli.map_table import KINDS_OF_WEIGHTS
from segviz.cli.parser import build_parser
from segviz.data.classes import CAMVID
from segviz.engine.network_ops import as_sentence
from segviz.evaluation.evaluate import Scored
from segviz.figures.colour import COLOUR_MAPS
from segviz.figures.export import FORMS
from segviz.figures.map_subplots import MapLook
from segviz.figures.prediction_subplots import ALL_LOOKS
from segviz.models.registry import MODELS, build
from segviz.models.segmenter import Segmenter
from segviz.prediction.influence import measure_pixel_influence
from segviz.prediction.predictor import load_predictor
from segviz.results.seeds import find_runs
from segviz.scales import ScaleKind
from segviz.server import launch
from segviz.text import format_percent
from segviz.training.options import TrainOptions
from segviz.training.view_range import Scales
from segviz.watch.watch_network import watch

pytestmark = pytest.mark.usefixtures("small_pictures")
COMMANDS = (
    "app", "predict", "attend", "watch", "figure", "evaluate", "train", "train-cues", "recipes",
    "datasets", "bench", "table", "models",
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained models, for what does not depend on training."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in ("fla", "sam", "snl", "psa", "channel_nl"):
        row = MODELS[name]
        record = Record(name, CAMVID.names, row.backbone, row.output_stride)
        write_checkpoint(folder / f"{name}.safetensors", build(name, len(CAMVID.names)), record)
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "street.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for part in ("images", "labels"):
        (root / "val" / part).mkdir(parents=True)
    (root / "val.txt").write_text("one\n")
    (root / "meta.json").write_text(json.dumps({"classes": CAMVID.names, "void": 255}))
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(root / "val" / "images" / "one.png")
    Image.fromarray(rng.integers(0, 2, (64, 96), dtype=np.uint8)).save(root / "val" / "labels" / "one.png")
    return root


def segviz(*arguments: object) -> int:
    """Run a command in this process and give its exit code."""
    try:
        return main.main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr, after making sure that it is one sentence."""
    text = capsys.readouterr().err
    assert text.startswith("segviz: ")
    assert len(text.strip().splitlines()) == 1
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert segviz(command, "--help") == 0
    assert f"usage: python -m segviz {command}" in capsys.readouterr().out


def test_the_parser_offers_what_the_figures_and_the_commands_have() -> None:
    assert arguments.LOOK_NAMES == get_args(MapLook) == tuple(ALL_LOOKS)
    assert get_args(ScaleKind) == arguments.SCALE_NAMES
    assert (*arguments.COLOUR_NAMES, "signed") == tuple(COLOUR_MAPS)
    assert arguments.EXPORT_FORMATS == FORMS
    assert ("app", *commands.COMMANDS) == COMMANDS


def test_help_does_not_wait_for_torch() -> None:
    code = """import sys
from segviz.cli.main import build_parser
build_parser().format_help()
sys.exit(any(name in sys.modules for name in ("torch", "matplotlib", "streamlit")))"""
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=paths.PACKAGE.parent).returncode == 0


def test_predict_writes_three_files_a_picture_and_tells_two_of_one_name_apart(
    checkpoints: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    assert segviz("predict", picture, picture, "--model", checkpoints / "fla.safetensors", "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["image"] for one in told] == [str(picture)] * 2
    assert sum(told[0]["share"].values()) == pytest.approx(1, abs=1e-4)
    kinds = ("confidence.npz", "labels.png", "overlay.png")
    wanted = {f"{stem}_{kind}" for stem in ("street", "street-2") for kind in kinds}
    assert {path.name for path in out.iterdir()} == wanted
    with Image.open(out / "street_labels.png") as labels:
        assert labels.mode == "P"
        assert labels.getpalette()[: 3 * len(CAMVID.names)] == CAMVID.colours.ravel().tolist()
        shares = np.bincount(np.asarray(labels).ravel(), minlength=11) / (60 * 80)
    assert list(told[0]["share"].values()) == pytest.approx(shares.tolist(), abs=1e-6)
    with np.load(out / "street_confidence.npz") as kept:
        assert kept["confidence"].shape == (60, 80)


def test_predict_goes_on_after_a_bad_picture(
    checkpoints: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    model = checkpoints / "fla.safetensors"
    assert segviz("predict", bad, picture, "--model", model, "--out", tmp_path / "out") == 1
    assert "not a picture of a known format" in complaint(capsys)
    assert (tmp_path / "out" / "street_overlay.png").is_file()


def test_predict_replaces_a_link_instead_of_following_it(checkpoints: Path, picture: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "street_labels.png").symlink_to(outside)
    assert segviz("predict", picture, "--model", checkpoints / "fla.safetensors", "--out", tmp_path / "out") == 0
    assert outside.read_text() == "mine"


def test_a_file_whose_name_is_no_text_is_a_picture_too(
    checkpoints: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    shutil.copy(picture, odd)
    model = checkpoints / "fla.safetensors"
    assert segviz("predict", odd, picture, "--model", model, "--out", tmp_path / "out") == 0
    assert len(capsys.readouterr().out.encode().splitlines()) == 2


@pytest.mark.parametrize(
    ("model", "arrays"),
    [
        ("psa", {f"{map_}_30_40_{way}" for map_ in ("collect", "distribute") for way in ("attends_to", "attended_by")}),
        ("snl", {f"samples_30_40_{part}" for part in ("positions", "weights", "attends_to", "attended_by")}),
        ("sam", {"strip_30_40_strip", "strip_30_40_attends_to", "strip_30_40_attended_by", "gate"}),
        ("fla", {"rows_30_40", "columns_30_40"}),
        ("channel_nl", {"channel"}),
    ],
)  # fmt: skip
def test_attend_writes_every_map_and_its_numbers(
    model: str, arrays: set[str], checkpoints: Path, picture: Path, tmp_path: Path
) -> None:
    path = checkpoints / f"{model}.safetensors"
    assert segviz("attend", picture, "--model", path, "--at", "30,40", "--out", tmp_path) == 0
    with np.load(tmp_path / f"street_{model}.npz") as kept:
        common = {"places", "title", "models", "details", "labels", "attended_output", "attended_context"}
        assert set(kept.files) == arrays | common
        for name in arrays:
            if name.endswith("attends_to") and model != "snl":
                assert kept[name].sum() == pytest.approx(1, abs=1e-4)
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    shown = {name for name in arrays if not name.endswith(("positions", "weights"))}
    assert {f"street_{model}_{name}" for name in shown} <= drawn
    assert (f"street_{model}_samples_30_40_points" in drawn) == (model == "snl")


def test_attend_does_what_was_chosen(checkpoints: Path, picture: Path, tmp_path: Path) -> None:
    model = ["--model", checkpoints / "psa.safetensors"]
    chosen = ["--map", "collect", "--look", "attended_by", "--scale", "log", "--format", "svg", "csv"]
    assert segviz("attend", picture, *model, "--at", "30,40", "--at", "5,5", *chosen, "--out", tmp_path) == 0
    names = {f"street_psa_collect_{place}_attended_by.svg" for place in ("30_40", "5_5")}
    assert {path.name for path in tmp_path.iterdir()} == {"street_psa.csv", *names}
    assert "weight, log scale" in (tmp_path / "street_psa_collect_5_5_attended_by.svg").read_text()


@pytest.mark.parametrize("form", ["png", "svg", "pdf", "npz", "csv"])
def test_attend_writes_one_page_into_a_file_by_its_ending(
    form: str, checkpoints: Path, picture: Path, tmp_path: Path
) -> None:
    model = ["--model", checkpoints / "sam.safetensors"]
    assert segviz("attend", picture, *model, "--shared-scale", "--out", tmp_path / f"a.{form}") == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{form}"]


def test_attend_tells_what_each_map_does(
    checkpoints: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", checkpoints / "sam.safetensors", "--out", tmp_path / "a.npz", "--json"]
    assert segviz("attend", picture, *model, "--at", "30,40", "--at", "5,5") == 0
    (told,) = json.loads(capsys.readouterr().out)
    prediction = load_predictor(checkpoints / "sam.safetensors")(picture)
    strip, gate = told["maps"]
    one = prediction.map_of(StripAttention, "strip")
    cell = one.cell(5, 5, 60, 80)
    found = strip["places"][1]
    assert (found["y"], found["x"], found["cell"]) == (5, 5, list(cell))
    wanted = summarise(one, *cell, prediction.labels, (60, 80))
    assert found["attends_to"]["entropy_bits"] == pytest.approx(wanted.entropy_bits, rel=1e-4)
    assert found["attended_by"]["sum"] == pytest.approx(float(one.attended_by(*cell).sum()), rel=1e-4)
    assert 0 <= strip["query_dependence"] <= 1
    assert "channels, not places" in gate["note"]
    assert told["places"][0]["class"] == prediction.classes[prediction.labels[30, 40]]
    assert told["files"] == [str(tmp_path / "a.npz")]


def test_attend_adds_the_influence_beside_the_maps(
    checkpoints: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkpoints / "sam.safetensors"
    words = ["attend", picture, "--model", path, "--at", "30,40", "--influence", "--out", tmp_path, "--json"]
    assert segviz(*words, "--format", "npz", "svg") == 0
    (described,) = json.loads(capsys.readouterr().out)
    predictor = load_predictor(path)
    influence, prediction = measure_pixel_influence(predictor, picture, (30, 40)), predictor(picture)
    with np.load(tmp_path / "street_sam.npz") as kept:
        np.testing.assert_array_equal(kept["influence_30_40"], influence.values)
    assert (tmp_path / "street_sam_influence_30_40.svg").exists()
    (entry,) = described["influence"]
    answer = prediction.classes[influence.class_index]
    assert (entry["y"], entry["x"], entry["class"], entry["grid"]) == (30, 40, answer, list(influence.values.shape))
    assert entry["largest"] == pytest.approx(float(influence.values.max()), rel=1e-5) and entry["largest"] > 0
    assert set(entry["rank_correlation"]) == {"strip"} and -1 <= entry["rank_correlation"]["strip"] <= 1


def test_attend_says_that_a_model_without_a_block_has_no_map(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segviz("attend", picture, "--model", "fcn", "--out", tmp_path) == 0
    assert "'fcn' has no attention block, so it has no map; attended_output and" in complaint(capsys)
    with np.load(tmp_path / "street_fcn.npz") as kept:
        np.testing.assert_array_equal(kept["attended_output"], kept["attended_context"])
    assert segviz("attend", picture, "--model", "channel_nl", "--out", tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_the_beginning_of_an_option_s_name_and_help_are_still_taken(capsys: pytest.CaptureFixture[str]) -> None:
    options = build_parser().parse_args(["predict", "a.png", "--mod", "fla", "--out", "x"])
    assert options.model == "fla"
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["predict", "--modle", "fla", "--help"])
    assert ended.value.code == 0 and "--model" in capsys.readouterr().out


def test_a_model_without_a_block_has_no_influence(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segviz("attend", picture, "--model", "fcn", "--influence", "--out", tmp_path) == 2
    assert "--influence needs a block, and 'fcn' has none; use another model" in complaint(capsys)


@pytest.fixture
def album(tmp_path: Path, picture: Path) -> Path:
    """A folder of three pictures, one of them bad."""
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        shutil.copy(picture, folder / name)
    (folder / "b.png").write_text("no picture")
    return folder


def test_several_bad_pictures_are_counted_at_the_end(
    checkpoints: Path, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (album / "d.png").write_text("no picture, either")
    model = checkpoints / "channel_nl.safetensors"
    assert segviz("predict", album, "--model", model, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "segviz: 2 of 4 pictures failed; the others are complete"
    for name in ("a.png", "c.png"):
        (album / name).write_text("nor this")
    assert segviz("predict", album, "--model", model, "--out", tmp_path / "none") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "segviz: 4 of 4 pictures failed"


@pytest.mark.parametrize("command", ["predict", "attend"])
def test_a_folder_ends_in_a_zip(
    command: str, checkpoints: Path, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", checkpoints / "channel_nl.safetensors", "--zip", tmp_path / "all.zip", "--json"]
    assert segviz(command, album, *model) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert [Path(one["image"]).name for one in told] == ["a.png", "c.png"]
    assert "b.png: this is not a picture of a known format" in printed.err
    with zipfile.ZipFile(tmp_path / "all.zip") as kept:
        assert sorted(kept.namelist()) == sorted(name for one in told for name in one["files"])
        assert {name.split("_")[0] for name in kept.namelist()} == {"a", "c"}
    assert not list(tmp_path.glob("*.part"))


def test_places_that_only_some_pictures_have_are_those_pictures_problem(
    checkpoints: Path, album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(album / "b.png")
    model = ["--model", checkpoints / "channel_nl.safetensors", "--at", "150,150", "--out", tmp_path / "out"]
    assert segviz("attend", album, *model) == 1
    assert capsys.readouterr().err.count("pixel (y=150, x=150) is outside the ") == 2
    assert (tmp_path / "out" / "b_channel_nl.npz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("into", ["--zip", "--out"])
def test_ctrl_c_keeps_what_is_finished(into: str, checkpoints: Path, picture: Path, tmp_path: Path) -> None:
    folder, target = tmp_path / "many", tmp_path / ("all.zip" if into == "--zip" else "all")
    folder.mkdir()
    for number in range(500):
        (folder / f"{number:03}.png").symlink_to(picture)
    command = [sys.executable, "-m", "segviz", "predict", folder, "--model", checkpoints / "fla.safetensors"]
    process = subprocess.Popen(
        [*map(str, command), into, str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=paths.PACKAGE.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 1
    (count,) = re.findall(
        r"^segviz: stopped after (\d+) of 500 pictures; their files are kept(?:; add --resume to process the rest)?$",
        said,
        re.MULTILINE,
    )
    assert int(count) == len([*first, *rest.splitlines()])
    assert "Traceback" not in said
    if into == "--zip":
        with zipfile.ZipFile(target) as kept:
            assert len(kept.namelist()) == 3 * int(count)
            assert kept.testzip() is None
    else:
        assert len(list(target.iterdir())) == 3 * int(count) + 1  # and the list of finished pictures


@pytest.mark.slow
def test_sigterm_leaves_a_whole_zip_and_no_part(checkpoints: Path, picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(500):
        (folder / f"{number:03}.png").symlink_to(picture)
    model = str(checkpoints / "fla.safetensors")
    command = [sys.executable, "-m", "segviz", "predict", str(folder), "--model", model]
    for lines in (0, 2):  # while torch is loaded, and in the middle
        process = subprocess.Popen(
            [*command, "--zip", str(tmp_path / "all.zip")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=paths.PACKAGE.parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        if not lines:
            time.sleep(1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1 and "stopped" in said and "Traceback" not in said, said
        assert not list(tmp_path.glob("*.part"))
    with zipfile.ZipFile(tmp_path / "all.zip") as kept:
        assert kept.testzip() is None and len(kept.namelist()) >= 6


def test_a_folder_cannot_be_both_input_and_output(
    checkpoints: Path, album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(album.iterdir())
    for out in (album, album / ".." / album.name):
        model = ["--model", checkpoints / "fla.safetensors", "--out", out]
        for command in ("predict", "attend"):
            assert segviz(command, album, *model) == 2
            assert "is both input and output" in complaint(capsys)
    assert sorted(album.iterdir()) == before


def test_an_output_never_replaces_an_input(
    checkpoints: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "a_labels.png"):
        shutil.copy(picture, tmp_path / name)
    model = ["--model", checkpoints / "fla.safetensors", "--out", tmp_path]
    assert segviz("predict", tmp_path / "a.png", tmp_path / "a_labels.png", *model) == 2
    assert "a_labels.png is an input, which the output would replace" in capsys.readouterr().err
    assert (tmp_path / "a_labels.png").read_bytes() == picture.read_bytes()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932"])
def test_a_name_that_stdout_cannot_encode_is_escaped_and_the_others_follow(
    encoding: str, checkpoints: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("b图.png", "c.png", "dü€.png")
    for name in names:
        shutil.copy(picture, tmp_path / name)
    out = io.BytesIO()
    with monkeypatch.context() as patch:
        stream = io.TextIOWrapper(out, encoding)
        patch.setattr(sys, "stdout", stream)
        model = ["--model", checkpoints / "fla.safetensors", "--out", tmp_path / "out"]
        assert segviz("predict", *(tmp_path / name for name in names), *model) == 0
        stream.flush()
    assert len(out.getvalue().decode(encoding).splitlines()) == 3
    assert len(list((tmp_path / "out").iterdir())) == 9


def test_a_full_disk_names_the_file_and_the_picture_and_keeps_what_is_done(
    checkpoints: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures = [shutil.copy(picture, tmp_path / f"{name}.png") for name in "abc"]
    model = ["--model", checkpoints / "fla.safetensors"]
    sync, calls = os.fsync, 0

    def full(file: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 7:  # the second file of the second picture, after three files and the list's start and line
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    assert segviz("predict", *pictures, *model, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"segviz: {tmp_path}/b.png: {tmp_path}/out/b_overlay.png: no space left on device; ")
    assert said[1] == "segviz: stopped after 1 of 3 pictures; their files are kept; add --resume to process the rest"
    assert {path.name[0] for path in (tmp_path / "out").iterdir()} == {"a", "b", "s"}  # s: the list of what is done


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve space")
def test_a_full_disk_keeps_the_finished_pictures_of_a_zip(
    checkpoints: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures = [shutil.copy(picture, tmp_path / f"{name}.png") for name in "abc"]
    allocate, calls = os.posix_fallocate, 0

    def full(*place: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise OSError(28, "No space left on device")
        allocate(*place)

    monkeypatch.setattr(os, "posix_fallocate", full)
    model = ["--model", checkpoints / "fla.safetensors"]
    assert segviz("predict", *pictures, *model, "--zip", tmp_path / "all.zip") == 1
    assert f"{tmp_path}/b.png: {tmp_path}/all.zip: no space left on device" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "all.zip") as kept:
        assert kept.testzip() is None
        assert [name[0] for name in kept.namelist()] == ["a", "a", "a", "b"]


@pytest.mark.parametrize("command", [["evaluate", "--model", "MODEL", "--scenes", "1"], ["bench", "models"]])
def test_a_record_that_cannot_be_written_stops_before_the_work(
    command: list[str], checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Segmenter, "forward", lambda *_: pytest.fail("a forward ran"))
    monkeypatch.setattr("segviz.atomic_write.os.access", lambda *_: False)
    model = str(checkpoints / "fla.safetensors")
    assert segviz(*[model if word == "MODEL" else word for word in command], "--record") == 1
    assert "cannot be written; check the path, its permissions" in complaint(capsys)


def test_models_prints_each_checkpoints_own_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record("fcn", ("a", "b"), "resnet18", 8)
    write_checkpoint(tmp_path / "fcn.safetensors", build("fcn", 2, "resnet18"), record)
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    assert segviz("models", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["fcn"]["backbone"] == "resnet18" and rows["fla"]["backbone"] == MODELS["fla"].backbone


@pytest.mark.parametrize(
    ("name", "models", "more"),
    [
        ("fla-5", ["channel_nl", "fla"], ["--labels", "LABELS"]),
        ("fla-6", ["channel_nl", "fla"], ["--feature", "both", "--width", "single", "--caption"]),
        ("atta-9", ["sam"], ["--columns", "10", "70"]),
        ("atta-7", ["sam"], ["--at", "5,5"]),
        ("psa-3", ["psa"], []),
        ("psa-5", ["psa"], ["--labels", "LABELS"]),
        ("psa-6", ["psa"], []),
        ("snl", ["snl"], ["--at", "1,1"]),
        ("compare", ["psa", "fla"], ["--shared-scale"]),
    ],
)
def test_figures(
    name: str, models: list[str], more: list[str], checkpoints: Path, picture: Path, tmp_path: Path
) -> None:
    files = [checkpoints / f"{model}.safetensors" for model in models]
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "labels.png")
    more = [str(tmp_path / "labels.png") if word == "LABELS" else word for word in more]
    out = tmp_path / "figure.svg"
    assert segviz("figure", name, picture, "--out", out, "--models", *files, *more) == 0
    assert b"<svg" in out.read_bytes()
    drawn = out.read_text()
    assert (">ground truth<" in drawn) == ("--labels" in more)
    assert ('width="237.6pt"' in drawn) == ("single" in more)  # 3.3 inches


def test_a_drawn_scene_is_a_picture(checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = checkpoints / "sam.safetensors"
    assert segviz("predict", "scene:3", "--model", model, "--out", tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)[0]
    assert (told["height"], told["width"]) == (360, 480)
    assert (tmp_path / "scene-3_labels.png").is_file()


def test_evaluate_shows_absent_classes_as_a_dash(
    checkpoints: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoints / "channel_nl.safetensors"
    assert segviz("evaluate", "--model", model, "--data", data, "--split", "val", "--json") == 0
    told = json.loads(capsys.readouterr().out)["val"]
    known = [iou for iou in told["iou"].values() if iou is not None]
    assert told["miou"] == pytest.approx(np.mean(known), abs=1e-4)
    assert segviz("evaluate", "--model", model, "--data", data) == 0
    table, _, below = capsys.readouterr().out.partition("\n\n")
    lines = table.splitlines()
    absent = [name for name, iou in told["iou"].items() if iou is None]
    assert absent
    assert all(line.split()[-2:] == ["-", "-"] for line in lines if line.split()[0] in absent)
    assert below.splitlines() == [
        f"val: {data.name} val (1 picture), whole, at their own size.",
        "Numbers are in percent. mIoU is the mean IoU of the classes.",
        "borders: only pixels at most 3 pixels from a border between two classes.",
        "-: pixel accuracy is not measured near borders; a class that is neither in the labels nor predicted has no "
        "IoU, and mIoU leaves it out.",
    ]


def test_the_protocol_of_a_score_stands_below_its_table() -> None:
    whole = Evaluation("cities val", 500, 0.7, 0.9, {"a": 0.7}, {"a": 0.7}, ((1,),))
    assert whole.described == "cities val (500 pictures), whole, at their own size"
    assert replace(whole, size=(512, 1024)).described == "cities val (500 pictures), whole, at 512 x 1024"
    cropped = replace(whole, crop=(705, 705), step=2 / 3, long_side=2048, flip=True, context=False)
    assert cropped.described == (
        "cities val (500 pictures), flip, long side 2048, crops of 705 x 705, the block's context off"
    )


def test_evaluate_scores_at_many_scales_and_without_context(
    checkpoints: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoints / "channel_nl.safetensors"
    more = ["--multi-scale", "--scales", "0.5,1", "--without-context", "--scenes", "1", "--json"]
    assert segviz("evaluate", "--model", model, "--data", data, *more) == 0
    told = json.loads(capsys.readouterr().out)
    names = [VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, SCENES, SCENES_WITHOUT_CONTEXT]
    assert list(told) == ["model", "checkpoint", *names]
    how = {name: (told[name]["scales"], told[name]["flip"], told[name]["context"]) for name in list(told)[2:]}
    assert how[VAL] == how[SCENES] == ([1.0], False, True)
    assert how[VAL_MULTI_SCALE] == ([0.5, 1.0], True, True)
    assert how[VAL_WITHOUT_CONTEXT] == how[SCENES_WITHOUT_CONTEXT] == ([1.0], False, False)
    assert told[VAL]["data"] == f"{data.name} val"
    assert np.sum(told[VAL]["confusion"]) == 64 * 96


def test_evaluate_shows_iou_near_borders_beside_iou(
    checkpoints: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoints / "channel_nl.safetensors"
    assert segviz("evaluate", "--model", model, "--data", data, "--json") == 0
    told = json.loads(capsys.readouterr().out)[VAL]
    assert segviz("evaluate", "--model", model, "--data", data) == 0
    table = capsys.readouterr().out.partition("\n\n")[0]
    lines = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert lines["channel_nl"] == [VAL, "borders"]
    assert lines["Sky"] == [format_percent(told["iou"]["Sky"]), format_percent(told["boundary_iou"]["Sky"])]
    near = [iou for iou in told["boundary_iou"].values() if iou is not None]
    assert lines["mIoU"] == [format_percent(told["miou"]), format_percent(float(np.mean(near)))]


def test_evaluate_keeps_scores_in_the_record_and_leaves_the_weights_alone(
    checkpoints: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "mine.safetensors"
    model.write_bytes((checkpoints / "channel_nl.safetensors").read_bytes())
    assert segviz("evaluate", "--model", model, "--scenes", "1", "--record") == 0
    weights, before = load_file(model), read_record(model)
    capsys.readouterr()
    assert segviz("evaluate", "--model", model, "--data", data, "--without-context", "--record", "--json") == 0
    told, after = json.loads(capsys.readouterr().out), read_record(model)
    assert list(after.evaluations) == sorted([VAL, VAL_WITHOUT_CONTEXT, SCENES])
    assert after.evaluations[SCENES] == before.evaluations[SCENES]
    assert after.evaluations[VAL].miou == told[VAL]["miou"]
    assert replace(after, evaluations={}) == replace(before, evaluations={})
    for name, value in load_file(model).items():
        assert value.dtype == weights[name].dtype and torch.equal(value, weights[name])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_evaluate_measures_where_a_block_looks_and_records_it(
    checkpoints: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "sam.safetensors"
    model.write_bytes((checkpoints / "sam.safetensors").read_bytes())
    assert segviz("evaluate", "--model", model, "--data", data, "--maps", "--record", "--json") == 0
    told, after = json.loads(capsys.readouterr().out), read_record(model)
    assert told["maps"][VAL]["images"] == told[VAL]["images"] and list(told["maps"][VAL]["maps"]) == ["strip"]
    assert json.loads(to_json(after))["maps"] == told["maps"]
    numbers = after.maps[VAL].maps["strip"]
    assert (numbers.even.entropy, numbers.even.dependence, numbers.even.own_class) == (1, 0, 1)
    assert numbers.trained.entropy is not None and numbers.trained != numbers.random
    assert segviz("evaluate", "--model", model, "--data", data, "--maps") == 0
    table = capsys.readouterr().out.split("\n\n")[-1].splitlines()
    assert [line.split()[:4] for line in table[1:]] == [["sam", "strip", VAL, one] for one in KINDS_OF_WEIGHTS]
    assert read_record(model) == after


def test_evaluate_writes_nothing_unless_asked(checkpoints: Path, data: Path) -> None:
    model = checkpoints / "channel_nl.safetensors"
    before = model.read_bytes()
    assert segviz("evaluate", "--model", model, "--data", data) == 0
    assert model.read_bytes() == before


def test_evaluate_does_not_record_scores_of_weights_that_are_gone(
    checkpoints: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "mine.safetensors"
    model.write_bytes((checkpoints / "channel_nl.safetensors").read_bytes())
    score = scores.evaluate_by_protocols

    def retrained_meanwhile(*given: Any, **how: Any) -> Scored:
        write_checkpoint(model, build("channel_nl", len(CAMVID.names)), read_record(model))
        return score(*given, **how)

    monkeypatch.setattr(scores, "evaluate_by_protocols", retrained_meanwhile)
    assert segviz("evaluate", "--model", model, "--data", data, "--record") == 1
    assert "changed while it was scored; run the command again" in capsys.readouterr().err
    assert read_record(model).evaluations == {}


def test_evaluate_scores_all_bundled_models_in_one_table(
    checkpoints: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = MODELS["fcn"]
    write_checkpoint(
        tmp_path / "fcn.safetensors",
        build("fcn", len(CAMVID.names)),
        Record("fcn", CAMVID.names, row.backbone, row.output_stride),
    )
    (tmp_path / "sam.safetensors").write_bytes((checkpoints / "sam.safetensors").read_bytes())
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    assert segviz("evaluate", "--model", "all", "--data", data, "--without-context") == 0
    printed = capsys.readouterr()
    table, _, below = printed.out.partition("\n\n")
    head, *rows = table.splitlines()
    assert f"{VAL_WITHOUT_CONTEXT}: {data.name} val (1 picture), whole, at their own size, the block's" in below
    assert below.endswith("-: not scored.\n")
    assert head.split("  ")[0] == "model" and f"{VAL_WITHOUT_CONTEXT}: mIoU" in head
    assert [(row.split()[0], len(row.split())) for row in rows] == [("fcn", 7), ("sam", 7)]
    assert rows[0].split()[-3:] == ["-"] * 3
    assert f"{tmp_path}/fcn.safetensors has no context, so --without-context is skipped for it" in printed.err
    assert segviz("evaluate", "--model", "all", "--data", data, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["model"], VAL in one) for one in told] == [("fcn", True), ("sam", True)]


def test_evaluate_all_needs_a_bundled_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    assert segviz("evaluate", "--model", "all", "--data", data) == 2
    assert "there is no bundled checkpoint to score; train a model" in complaint(capsys)


def test_evaluate_names_missing_labels_before_any_forward(
    checkpoints: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data, root)
    (root / "val.txt").write_text("one\ntwo\n")
    shutil.copy(root / "val/images/one.png", root / "val/images/two.png")
    monkeypatch.setattr(Segmenter, "forward", lambda *_: pytest.fail("a forward ran"))
    assert segviz("evaluate", "--model", checkpoints / "sam.safetensors", "--data", root) == 1
    assert "missing labels: val/labels/two.png; add them or remove them from val.txt" in capsys.readouterr().err


def test_models_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert segviz("models", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(MODELS)
    assert all(row["parameters"] > 2_000_000 for row in rows)
    assert segviz("models") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(MODELS) + 1


FAILURES = [
    (["predict", "nowhere.png", "--model", "MODEL", "--out", "OUT"], 1, "there is no file nowhere.png"),
    (["attend", "TEXT", "--model", "MODEL", "--out", "OUT"], 1, "not a picture of a known format"),
    (["predict", "PICTURE", "--model", "unet", "--out", "OUT"], 2, "model 'unet' is unknown; use fcn"),
    (["predict", "PICTURE", "--model", "no.safetensors", "--out", "OUT"], 1, "no checkpoint no.safetensors; check the"),
    (["predict", "PICTURE", "--model", "TEXT", "--out", "OUT"], 1, "text.png is neither a PyTorch checkpoint nor a "),
    (["predict", "PICTURE", "--modle", "fla", "--out", "OUT"], 2, "unrecognized --modle; did you mean --model? See"),
    (["predict", "PICTURE", "--model", "fla", "--out", "OUT", "--devce=cpu"], 2, "--devce; did you mean --device? See"),
    (["train", "--modle", "fla"], 2, "unrecognized --modle; did you mean --model? See `python -m segviz train --help`"),
    (["predict", "PICTURE", "--model", "MODEL", "--out", "TEXT"], 1, "check the path"),
    (["predict", "PICTURE", "--model", "MODEL", "--out", "OUT", "--device", "cuda:99"], 1, "use 'cpu' or 'auto'"),
    (["predict", "PICTURE", "--model", "MODEL", "--out", "OUT", "--device", "toaster"], 1, "toaster"),
    (["predict", "scene:x", "--model", "MODEL", "--out", "OUT"], 2, "write scene:SEED"),
    (["predict", "PICTURE", "--model", "MODEL"], 2, "--out"),
    (["attend", "PICTURE", "--model", "MODEL", "--at", "99,5", "--out", "OUT"], 2, "outside"),
    (["attend", "PICTURE", "--model", "MODEL", "--at", "middle", "--out", "OUT"], 2, "write Y,X"),
    (["attend", "PICTURE", "PICTURE", "--model", "MODEL", "--out", "OUT/a.svg"], 2, "is one file, but there are 2"),
    (["attend", "PICTURE", "--model", "MODEL", "--map", "collect", "--out", "OUT"], 1, "has no map 'collect'; use"),
    (["attend", "PICTURE", "--model", "MODEL", "--format", "gif", "--out", "OUT"], 2, "invalid choice"),
    (["predict", "OUT", "--model", "MODEL", "--out", "OUT"], 2, "holds no supported picture"),
    (["predict", "PICTURE", "--model", "MODEL", "--out", "OUT", "--zip", "OUT/a.zip"], 2, "not allowed with"),
    (["figure", "psa-6", "PICTURE", "--at", "99,5", "--out", "OUT/a.png"], 2, "outside"),
    (["figure", "psa-6", "PICTURE", "--labels", "PICTURE", "--out", "a.png"], 2, "belongs to fla-5"),
    (["figure", "fla-5", "PICTURE", "--labels", "TEXT", "--out", "OUT/a.png"], 1, "this is not a PNG"),
    (["figure", "fla-5", "PICTURE", "PICTURE", "--labels", "TEXT", "--out", "OUT/a.png"], 2, "1 --labels for 2 pict"),
    (["figure", "fla-7", "PICTURE", "--out", "a.png"], 2, "invalid choice"),
    (["figure", "fla-6", "PICTURE", "--out", "a.gif"], 2, "use .png, .svg, .pdf, .npz, .csv"),
    (["figure", "psa-6", "PICTURE", "--models", "MODEL", "--out", "OUT/a.png"], 1, "use --models psa"),
    (["figure", "snl", "PICTURE", "--columns", "3", "--out", "a.png"], 2, "belongs to atta-9"),
    (["evaluate", "--model", "MODEL"], 2, "give --data DIR"),
    (["evaluate", "--model", "MODEL", "--data", "OUT"], 1, "meta.json is missing"),
    (["evaluate", "--model", "unet", "--data", "DATA"], 2, "model 'unet' is unknown"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--multi-scale", "--flip"], 2, "remove --flip"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--step", "1/2"], 2, "--step needs crops; give --crop H W"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--crop", "64", "64", "--step", "3/2"], 2, "is not a share"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--crop", "64", "64", "--maps"], 2, "remove --crop"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--whole"], 2, "is shown whole anyway; remove --whole"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--classes", "a,b"], 2, "no effect on a segviz checkpoint"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--multi-scale", "--scales", "1,9"], 2, "from 0.1 to 4"),
    (["evaluate", "--model", "MODEL", "--scenes", "1", "--multi-scale"], 2, "a data set; give --data DIR"),
    (["evaluate", "--model", "MODEL", "--scenes", "1", "--maps"], 2, "has no map over places, so --maps measures"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--split", "train", "--record"], 2, "split 'val', not on"),
    (["evaluate", "--model", "MODEL", "--data", "DATA", "--split", "test"], 1, "test.txt is missing"),
    (["train", "--model", "fla", "--data", "OUT", "--out", "OUT/a.safetensors"], 1, "meta.json is missing"),
    (["train", "--model", "fla", "--data", "DATA", "--out", "OUT"], 2, "ends in .safetensors"),
    (["train", "--model", "MODEL", "--data", "DATA"], 2, "is unknown"),
    (["train", "--model", "fla", "--data", "DATA", "--budget", "soon"], 2, "90s, 9m or 1.5h"),
    (["train", "--model", "fla", "--data", "DATA", "--rate", "nan"], 2, "out of range"),
    (["train", "--model", "fla", "--data", "DATA", "--crop", "8", "8"], 2, "use 32 to 4096"),
    (["predict", "PICTURE", "--model", "x" * 300, "--out", "OUT"], 2, "is unknown; use fcn"),
    (["predict", "x" * 300, "--model", "MODEL", "--out", "OUT"], 1, "cannot be read (File name too long)"),
    (["predict", "\udcff.png", "--model", "MODEL", "--out", "OUT"], 1, "there is no file  .png"),
    (["predict", "a\nb.png", "--model", "MODEL", "--out", "OUT"], 1, "there is no file a b.png"),
    (["bench", "viewer", "--size", "9", "9"], 2, "and does nothing in `bench viewer`; remove it"),
    (["bench", "viewer", "--only", "fla"], 2, "--only belongs to `bench blocks`, `bench models` and `bench questions`"),
    (["bench", "viewer", "--device=cpu"], 2, "--device belongs to `bench blocks`, `bench sparse`, `bench models`, "),
    (["bench", "blocks", "--plan"], 2, "--plan belongs to `bench engine`, and does nothing"),  # not --plain misspelled
    (["bench", "blocks", "--plian"], 2, "unrecognized --plian; did you mean --plain? See `python -m segviz bench bl"),
    (["bench", "models", "--url", "http://x"], 2, "--url belongs to `bench viewer`, and does nothing in `bench"),
    (["bench", "models", "--size", "9", "9", "9"], 2, "'9' is one value too many; the option before it takes fewer"),
    (["bench", "blocks", "--nonsense"], 2, "unrecognized arguments: --nonsense; see `python -m segviz bench bl"),
    (["bench", "questions", "--only", "unet"], 1, "'unet' is unknown; use fcn"),
    (["bench", "questions", "--ask", "predictions"], 1, "'predictions' is unknown; use predict"),
    (["bench", "all"], 2, "the following arguments are required: --out"),
    (["bench", "all", "--out", "TEXT/a"], 1, "text.png is a file, not a folder; check the path"),
    (["bench", "--rounds", "1"], 2, "SUBJECT"),
    (["attend", "PICTURE", "--model", "MODEL", "--format", "svg", "--out", "OUT/a.png"], 2, "--format differs from"),
    (["attend", "PICTURE", "--model", "MODEL", "--format", "svg", "--size", "2", "--out", "OUT"], 2, "--size changes"),
    (["attend", "PICTURE", "--model", "MODEL", "--page", "--format", "npz", "--out", "OUT"], 2, "--page changes pict"),
    (["attend", "PICTURE", "--model", "MODEL", "--colours", "gray", "--out", "OUT/a.npz"], 2, "--colours changes"),
    (["attend", "PICTURE", "--model", "MODEL", "--look", "strip", "--out", "OUT"], 1, "no map of 'fla' has the look"),
    (["figure", "fla-6", "PICTURE", "--at", "1,1", "--out", "OUT/a.png"], 2, "--at chooses nothing here"),
    (["figure", "atta-9", "PICTURE", "--at", "1,1", "--columns", "1", "--out", "OUT/a.png"], 2, "--at chooses nothing"),
    (["figure", "snl", "PICTURE", "--feature", "both", "--out", "OUT/a.png"], 2, "--feature belongs to fla-6"),
    (["figure", "fla-5", "PICTURE", "--scale", "log", "--out", "OUT/a.png"], 2, "--scale belongs to atta-9"),
    (["figure", "snl", "PICTURE", "--shared-scale", "--out", "OUT/a.png"], 2, "--shared-scale belongs to psa-6"),
    (["figure", "fla-5", "PICTURE", "--colours", "gray", "--out", "OUT/a.png"], 2, "--colours changes pictures"),
    (["figure", "snl", "PICTURE", "--width", "single", "--out", "OUT/a.csv"], 2, "--width changes pictures"),
    (["figure", "snl", "PICTURE", "--no-letters", "--out", "OUT/a.csv"], 2, "--no-letters changes pictures"),
    (["figure", "snl", "PICTURE", "--caption", "--out", "OUT/a.npz"], 2, "--caption changes pictures"),
    (["figure", "snl", "PICTURE", "--size", "4", "--out", "OUT/a.pdf"], 2, "--size changes PNGs"),
    (["figure", "snl", "PICTURE", "--out", "PICTURE"], 2, "is an input, which the output would replace"),
    (["figure", "snl", "PICTURE", "--out", "TEXT/a.png"], 1, "text.png is a file, not a folder; check the path"),
    (["attend", "PICTURE", "--model", "MODEL", "--out", "PICTURE"], 2, "is an input, which the output would replace"),
    (["predict", "PICTURE", "--model", "MODEL", "--zip", "PICTURE"], 2, "is an input, which the output would replace"),
    (["predict", "PICTURE", "--model", "MODEL", "--zip", "OUT"], 1, "is a folder, not a file; check the path"),
    (["predict", "PICTURE", "--model", "MODEL", "--out", "TEXT/a/b"], 1, "text.png is a file, not a folder"),
    (["evaluate", "--model", "MODEL", "--scenes", "1", "--split", "test"], 2, "--split needs a data set"),
    (["train", "--model", "fla", "--data", "DATA", "--gamma", "0.5"], 2, "--gamma needs weights to start from"),
    (["train", "--model", "fla", "--data", "DATA", "--scenes", "0", "--scene-share", "1"], 2, "--scene-share needs"),
    (["train", "--model", "fla", "--data", "DATA", "--steps", "9", "--validate", "9"], 2, "--validate comes after the"),
    (["train", "--model", "fla", "--data", "DATA", "--out", "TEXT/a.safetensors"], 1, "text.png is a file, not a fol"),
    (["train", "--model", "fla", "--data", "DATA", "--device", "gpu"], 1, "device 'gpu' is unknown; use 'cpu', 'cuda'"),
    (["app", "--port", "8600", "--", "--server.port=8700"], 2, "--port and --server.port both name the port"),
    (["models", "--record-of", "x" * 300], 1, "cannot be read (File name too long)"),
    (["bench", "x\ny" * 5000], 2, "invalid choice"),
    (["bench", "blocks", "--only", "unet"], 1, "use channel_nl"),
    (["bench", "pages"], 2, "invalid choice"),
    (["dance"], 2, "invalid choice"),
    ([], 2, "COMMAND"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "words"), FAILURES, ids=[" ".join(row[0]) for row in FAILURES])
def test_failures_are_one_sentence(
    arguments: list[str], code: int, words: str, checkpoints: Path, picture: Path, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    text = tmp_path / "text.png"
    text.write_text("no picture")
    (tmp_path / "out").mkdir()
    known = {
        "MODEL": checkpoints / "fla.safetensors",
        "TEXT": text,
        "PICTURE": picture,
        "DATA": data,
        "OUT": tmp_path / "out",
    }
    filled = [str(known.get(word, word)).replace("OUT/", f"{tmp_path}/out/") for word in arguments]
    filled = [word.replace("TEXT/", f"{text}/") for word in filled]
    assert segviz(*filled) == code
    assert words in complaint(capsys)
    assert not list((tmp_path / "out").iterdir())


def from_itself(error: Exception) -> Exception:
    """The error, as `raise error from error` leaves it."""
    error.__cause__ = error
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "stopped"),
        (MemoryError(), "not enough memory; use a smaller picture, batch or crop, or free some memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "crop, or free some memory",
        ),
        (RuntimeError("could not create a primitive"), "not enough memory; use a smaller picture, batch or crop, or"),
        (RuntimeError("could not execute a primitive"), "not enough memory"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (RuntimeError("could not create a primitive descriptor for a reorder primitive"), "descriptor for a reorder"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "not enough memory; use a smaller picture"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "batch or crop, or --device cpu"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "batch or crop, or --device cpu"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "batch or crop, or --device cpu"),
        (torch.OutOfMemoryError("Allocation on device; allocate memory"), "batch or crop, or --device cpu"),
        (RuntimeError("HIPPONet: DefaultCPUAllocator: can't allocate memory"), "crop, or free some memory"),
        (KeyError("model 'x' is unknown; use y"), "segviz: model 'x' is unknown; use y"),
        (from_itself(ValueError("a circle; break it")), "segviz: a circle; break it"),
        (OSError(28, "No space left on device", "/out/a.png"), "/out/a.png: no space left on device"),
    ],
)
def test_what_goes_wrong_inside_becomes_a_sentence(
    error: BaseException, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        raise error

    monkeypatch.delenv("SEGVIZ_TRACEBACK", raising=False)
    monkeypatch.setattr("segviz.cli.commands.COMMANDS", {"models": broken})
    assert segviz("models") == 1
    assert words in complaint(capsys)


@pytest.mark.parametrize(
    ("raised", "cure"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--device cpu"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "free some memory"),
    ],
)
def test_the_cure_for_a_network_without_memory_is_that_of_its_device(raised: Exception, cure: str) -> None:
    class HIPPONet(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            raise raised

    with pytest.raises(MemoryError) as caught:
        watch(HIPPONet().eval(), np.zeros((64, 96, 3), np.uint8))
    assert describe_error(caught.value) == (
        "HIPPONet ran out of memory on an input of 1 x 3 x 64 x 96; give it a smaller input: --input-size H,W, or "
        f"{cure}"
    )


def test_an_error_names_the_option_of_size_that_there_is_where_it_is_read() -> None:
    class Square(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.view(1, 3, 32, 32)

    with pytest.raises(ValueError, match=r"give that: size=\(H, W\)$") as caught:
        watch(Square().eval(), np.zeros((64, 96, 3), np.uint8))
    assert describe_error(caught.value).endswith("give that: --input-size H,W")
    assert str(as_sentence(caught.value)).endswith("give that: size=(H, W) or --size H,W"), "in the app"


def test_a_record_is_printed_as_a_further_seed_keeps_it(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = read_record(checkpoints / "fla.safetensors")
    shutil.copy(checkpoints / "fla.safetensors", tmp_path)
    write_checkpoint(tmp_path / "out.safetensors", build("fla", len(CAMVID.names)), replace(own, seed=3))
    assert segviz("models", "--record-of", tmp_path / "out.safetensors") == 0
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "fla-seed3.json").write_text(capsys.readouterr().out)
    assert find_runs(tmp_path) == {"fla": (own, replace(own, seed=3))}


@pytest.mark.parametrize(("text", "minutes"), [("9m", 9), ("90s", 1.5), ("1.5h", 90), ("2", 2)])
def test_times(text: str, minutes: float) -> None:
    assert arguments.read_minutes(text) == pytest.approx(minutes)


def test_train_hands_everything_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def trained(options: object) -> Record:
        seen.append(options)
        scored = Evaluation("some data val", 2, 0.5, 0.9, {}, {}, ((0,) * 11,) * 11)
        return Record("fla", CAMVID.names, "mobilenetv2_100", 8, steps=5, minutes=0.1, evaluations={VAL: scored})

    monkeypatch.setattr("segviz.cli.train_command.train_model", trained)
    out = tmp_path / "a.safetensors"
    arguments = ["train", "--model", "fla", "--data", "some data", "--out", str(out), "--steps", "5", "--batch", "2"]
    arguments += [
        "--crop",
        "64",
        "96",
        "--rate",
        "0.01",
        "--budget",
        "30s",
        "--seed",
        "3",
        "--scenes",
        "9",
        "--scene-share",
        "0.6",
        "--init",
        "w.safetensors",
    ]
    arguments += ["--balance", "0.25", "--hard-share", "0.4", "--jaccard", "0.1", "--smoothing", "0.05"]
    arguments += ["--average", "0.9", "--validate", "4", "--parts", "2", "--split", "train+val", "--skip-damaged"]
    arguments += ["--class-map", "map.json", "--recipe", "flanet", "--backbone", "resnet18", "--ohem", "0.7"]
    arguments += ["--option", "input=backbone", "--optimizer", "sgd", "--momentum", "0.8", "--weight-decay", "0.01"]
    arguments += ["--power", "1", "--warm-up", "0.1", "--clip", "2", "--no-part-rates", "--scales", "1,2"]
    arguments += ["--own-scale", "0.1", "--colours", "none", "--rotation", "5", "--blur", "0.3", "--no-mirror"]
    arguments += ["--no-class-weights", "--auxiliary", "middle=1", "--auxiliary-width", "8", "--auxiliary-stride", "2"]
    arguments += ["--gamma", "0.5", "--freeze-backbone", "--output-stride", "16", "--resume", "--device", "cpu"]
    arguments += ["--overwrite"]
    assert segviz(*arguments) == 0
    wanted = TrainOptions(
        model="fla",
        data=Path("some data"),
        out=out,
        init=Path("w.safetensors"),
        gamma=0.5,
        steps=5,
        batch=2,
        crop=(64, 96),
        rate=0.01,
        budget=0.5,
        seed=3,
        scenes=9,
        scene_share=0.6,
        balance=0.25,
        hard_share=0.4,
        jaccard=0.1,
        smoothing=0.05,
        average=0.9,
        validate=4,
        parts=2,
        split="train+val",
        skip_damaged=True,
        class_map=Path("map.json"),
        recipe="flanet",
        backbone="resnet18",
        options={"input": "backbone"},
        ohem=0.7,
        optimizer="sgd",
        momentum=0.8,
        weight_decay=0.01,
        power=1.0,
        warm_up=0.1,
        clip=2.0,
        part_rates=False,
        scales=Scales((1.0, 2.0), between=False),
        own_scale=0.1,
        colours="none",
        rotation=5.0,
        blur=0.3,
        mirror=False,
        class_weights=False,
        auxiliary={"middle": 1.0},
        auxiliary_width=8,
        auxiliary_stride=2,
        freeze_backbone=True,
        output_stride=16,
        resume=True,
        overwrite=True,
        device="cpu",
        command="python -m segviz " + shlex.join(arguments),
    )
    assert seen == [wanted]
    assert {field.name for field in fields(wanted) if getattr(wanted, field.name) == field.default} == {"epochs"}
    assert "val mIoU 50.0" in capsys.readouterr().out


def test_app_passes_on_what_follows_the_dashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.touch()
    seen = []
    monkeypatch.setattr(main, "app_script", lambda: script)
    monkeypatch.setattr(
        main, "serve", lambda command, folder, environment: seen.append((command, folder, environment)) or 0
    )
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", "mine")
    monkeypatch.chdir(tmp_path)
    assert segviz("app", "--port", 8600, "--", "--server.headless", "true") == 0
    ((command, folder, environment),) = seen
    assert environment["SEGVIZ_CHECKPOINTS"] == str(tmp_path / "mine")  # the app runs in another folder
    assert command[1:] == ["-m", "streamlit", "run", str(script), "--server.port", "8600", "--server.headless", "true"]
    assert folder == tmp_path


def test_the_apps_script_is_looked_for_inside_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "segviz"
    (package / "_app").mkdir(parents=True)
    monkeypatch.setattr(launch, "PACKAGE", package)
    with pytest.raises(FileNotFoundError, match="install segviz again"):
        launch.app_script()
    (tmp_path / "app.py").touch()
    assert launch.app_script() == tmp_path / "app.py"
    (package / "_app" / "app.py").touch()
    assert launch.app_script() == package / "_app" / "app.py"


def test_the_module_runs() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "segviz", "dance"], capture_output=True, text=True, check=False, cwd=paths.PACKAGE.parent
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("segviz: ")
