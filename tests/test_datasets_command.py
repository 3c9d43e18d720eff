"""`datasets`, and the commands that read published layouts: `train`, `evaluate`, and `predict` for test servers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from layout_cases import SIZE, make_ade20k, make_cityscapes, make_own, make_voc, save_labels, save_picture
from PIL import Image

from segviz.catalogue.checkpoint_file import read_record, write_checkpoint
from segviz.catalogue.record import Record
from segviz.cli import data_options, main
from segviz.cli.datasets import list_absent
from segviz.data.class_sets import CLASS_SETS
from segviz.data.server_format import SERVER_FORMATS
from segviz.models.registry import build

CITY_CLASSES = CLASS_SETS["cityscapes"].names


@pytest.fixture(autouse=True)
def no_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained models of Cityscapes, VOC and ADE20K."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    for name in ("cityscapes", "voc", "ade20k"):
        classes = CLASS_SETS[name].names
        record = Record("fcn", classes, "mobilenetv2_100", 8)
        write_checkpoint(folder / f"{name}.safetensors", build("fcn", len(classes), output_stride=8), record)
    return folder


def segviz(*arguments: object) -> int:
    try:
        return main.main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def test_the_command_line_knows_all_server_formats() -> None:
    assert tuple(SERVER_FORMATS) == data_options.SERVER_FORMAT_NAMES


def test_a_sound_data_set_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_cityscapes(tmp_path)
    assert segviz("datasets", tmp_path) == 0
    text, complaints = capsys.readouterr()
    assert complaints == ""
    assert f"{tmp_path}: Cityscapes, 19 classes" in text and "predict --server-format cityscapes" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["train", "2", "2", "32", "x", "24"] in rows and ["test", "1", "no", "labels", "-"] in rows
    assert any(row[:3] == ["0", "road", "#804080"] for row in rows)


def test_one_class_and_one_pixel_are_counted_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_own(tmp_path)
    (tmp_path / "meta.json").write_text('{"classes": ["sky"]}')
    classes = [{"name": "sky", "ids": [0, 1, 2]}]
    (tmp_path / "map.json").write_text(json.dumps({"classes": classes, "void_ids": [255]}))
    values = np.zeros(SIZE)
    values[0, 0] = 9
    save_labels(tmp_path / "train/labels/a.png", values)
    assert segviz("datasets", tmp_path, "--class-map", tmp_path / "map.json") == 1
    text, complaints = capsys.readouterr()
    assert f"{tmp_path}: segviz's own layout, 1 class\n" in text
    assert "no class has the id 9 (1 pixel, first at" in complaints


def test_the_description_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_voc(tmp_path)
    save_picture(tmp_path / "JPEGImages/2007_000002.jpg", 1, (20, 32))
    assert segviz("datasets", tmp_path, "--json", "--split", "train", "--split", "val") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["layout"], found["server_format"], len(found["classes"])) == ("voc", "voc-comp6", 21)
    assert found["classes"][1] == {"name": "aeroplane", "colour": "#800000"}
    assert list(found["splits"]) == ["train", "val"]
    train = found["splits"]["train"]
    assert (train["pictures"], train["sound"], train["sizes"]) == (2, 1, {"32 x 24": 1})
    (fault,) = train["faults"]
    assert "2007_000002.png: the labels are 32 x 24 pixels, but the picture is 32 x 20" in fault


def test_every_fault_is_a_line_and_skipping_is_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_own(tmp_path, [str(number) for number in range(9)])
    (tmp_path / "train/labels/1.png").unlink()
    save_labels(tmp_path / "train/labels/3.png", np.full(SIZE, 9))
    path = tmp_path / "train/images/5.png"
    path.write_bytes(path.read_bytes()[:300])
    assert segviz("datasets", tmp_path) == 1
    text, complaints = capsys.readouterr()
    lines = complaints.splitlines()
    assert lines.pop() == "segviz: with --skip-damaged, `train` and `evaluate` use 6 of 9 in train"
    assert len(lines) == 3 and all(line.startswith("segviz: train: ") for line in lines)
    for line, words in zip(
        lines, ("train/labels/1.png", "3.png: no class has the index 9", "5.png cannot"), strict=True
    ):
        assert words in line
    assert any(line.split()[:3] == ["train", "9", "6"] for line in text.splitlines())
    assert segviz("datasets", tmp_path, "--skip-damaged") == 0
    assert "`train` and `evaluate` use 6 of 9 in train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "none is not a folder"),
        (["data", "--split", "eval"], "segviz: data has no split 'eval'; it has train, val"),
        (["data", "--split", "train", "--split", "train+eval"], "segviz: data has no split 'eval'"),
        (["data", "--class-map", "none.json"], r"none\.json is missing; a class map is JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_one_sentence(
    tmp_path: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_ade20k(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert segviz("datasets", *arguments) == 1
    text, complaints = capsys.readouterr()
    assert text == "" and len(said := complaints.splitlines()) == 1
    assert re.search(words, said[0])


def test_evaluate_reads_published_layouts_and_skips_what_is_damaged(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_cityscapes(tmp_path)
    command = ["evaluate", "--model", models / "cityscapes.safetensors", "--data", tmp_path, "--json"]
    assert segviz(*command, "--split", "train+val") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["train+val"]["images"] == 3 and set(scores["train+val"]["iou"]) == set(CITY_CLASSES)
    next((tmp_path / "gtFine/train/ulm").iterdir()).write_bytes(b"\x89PNG\r\n\x1a\n")
    assert segviz(*command, "--split", "train") == 1
    assert "_labelIds.png: " in capsys.readouterr().err
    assert segviz(*command, "--split", "train", "--skip-damaged") == 0
    text, said = capsys.readouterr()
    assert json.loads(text)["train"]["images"] == 1 and "1 of 2 samples of train are left out" in said


def test_train_lists_the_faults_of_a_split_one_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_own(tmp_path, ["4"], "val")
    make_own(tmp_path, [str(number) for number in range(4)])
    (tmp_path / "train/labels/1.png").unlink()
    (tmp_path / "train/images/2.png").write_bytes(b"")
    assert segviz("train", "--model", "fcn", "--data", tmp_path, "--out", tmp_path / "a.safetensors") == 1
    head, *lines = capsys.readouterr().err.splitlines()[-4:]
    assert head == f"segviz: train split of {tmp_path}: 2 of 4 pictures cannot be used:"
    words = (
        "train/labels/1.png",
        "2.png cannot be read as a picture: the file is empty",
        "--skip-damaged of `train` and `evaluate` leaves out 2",
    )
    for line, part in zip(lines, words, strict=True):
        assert line.startswith("  ") and part in line


def test_train_lists_the_faults_of_train_and_val_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    make_cityscapes(data)
    train = ["train", "--model", "fcn", "--data", data, "--out", tmp_path / "a.safetensors", "--scenes", "0"]
    shutil.rmtree(data / "gtFine")
    assert segviz(*train) == 1
    head, *lines = capsys.readouterr().err.splitlines()[-3:]
    assert head == "segviz: the splits to train on and to score cannot be used:"
    for line, split in zip(lines, ("train", "val"), strict=True):
        assert line.startswith(f"  {split} split of {data}: missing labels: gtFine/{split}/ulm/")
    make_cityscapes(data)
    (data / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png").unlink()
    (data / "gtFine/train/ulm/ulm_000001_000019_gtFine_labelIds.png").write_bytes(b"")
    (path,) = (data / "leftImg8bit/val/ulm").iterdir()
    path.write_bytes(path.read_bytes()[:300])
    assert segviz(*train) == 1
    lines = capsys.readouterr().err.splitlines()[-4:]
    words = ("train split of", "missing labels", "000001_000019_gtFine_labelIds.png: the file is empty", "val split of")
    for line, part in zip(lines, words, strict=True):
        assert part in line
    assert path.name in lines[-1]


def test_what_is_wrong_with_the_whole_set_or_with_a_joined_split_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "--model", "fcn", "--data", tmp_path, "--out", tmp_path / "a.safetensors", "--scenes", "0"]
    (tmp_path / "meta.json").write_text("{}")
    assert segviz(*train) == 1
    assert capsys.readouterr().err.count("meta.json") == 1
    (tmp_path / "meta.json").unlink()
    make_cityscapes(tmp_path)
    next((tmp_path / "gtFine/val/ulm").iterdir()).unlink()
    assert segviz(*train, "--split", "train+val") == 1
    said = capsys.readouterr().err
    assert said.count("missing labels") == 1 and "segviz: train+val split of" in said


@pytest.mark.parametrize(
    ("absent", "words"), [(3, "0, 1, 2"), (12, "12 of 150 classes, such as 0, 1, 2, 3, 4, 5, 6, 7")]
)
def test_many_absent_classes_are_counted(absent: int, words: str) -> None:
    assert list_absent([str(number) for number in range(absent)], 150) == words


def test_evaluate_says_how_the_classes_differ(tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_voc(tmp_path)
    assert segviz("evaluate", "--model", models / "cityscapes.safetensors", "--data", tmp_path) == 1
    said = capsys.readouterr().err
    assert "was trained on other classes than those of" in said and "it has 19 classes, the data 21" in said


def test_train_takes_a_published_layout(tmp_path: Path) -> None:
    make_cityscapes(tmp_path / "cityscapes")
    out = tmp_path / "fcn.safetensors"
    small = ["--scenes", "0", "--steps", "1", "--batch", "2", "--crop", "32", "32", "--device", "cpu"]
    command = ["train", "--model", "fcn", "--data", tmp_path / "cityscapes", "--split", "train+val", "--out", out]
    assert segviz(*command, *small) == 0
    record = read_record(out)
    assert record.classes == CITY_CLASSES and record.data == "cityscapes train+val"


@pytest.mark.parametrize(
    "protocol", [[], ["--crop", "48", "64", "--flip", "--scales", "0.75,1"]], ids=["none", "crops"]
)
def test_predictions_of_a_split_go_to_the_test_server(tmp_path: Path, models: Path, protocol: list[str]) -> None:
    make_cityscapes(tmp_path / "data")
    out = tmp_path / "out"
    command = ["predict", tmp_path / "data", "--split", "test", "--model", models / "cityscapes.safetensors"]
    assert segviz(*command, *protocol, "--server-format", "cityscapes", "--out", out) == 0
    (path,) = out.iterdir()
    assert path.name == "ulm_000003_000019_gtFine_labelIds.png"
    with Image.open(path) as picture:
        assert picture.mode == "L" and picture.size == SIZE[::-1]
        assert set(np.unique(np.asarray(picture))) <= set(SERVER_FORMATS["cityscapes"].ids)


def test_predict_says_which_pictures_of_a_split_are_missing(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_cityscapes(tmp_path / "data")
    (lost,) = (tmp_path / "data/leftImg8bit/train/ulm").glob("*_000001_*")
    lost.unlink()
    model = models / "cityscapes.safetensors"
    assert segviz("predict", tmp_path / "data", "--split", "train", "--model", model, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "1 of 2 pictures of train are left out: missing pictures: leftImg8bit/train/ulm/" in said


def test_a_set_without_some_of_its_pictures_is_not_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_cityscapes(tmp_path)
    (lost,) = (tmp_path / "leftImg8bit/train/ulm").glob("*_000001_*")
    lost.unlink()
    assert segviz("datasets", tmp_path, "--split", "train", "--json") == 1
    train = json.loads(capsys.readouterr().out)["splits"]["train"]
    assert (train["pictures"], train["sound"]) == (2, 1) and lost.name in train["faults"][0]


def test_voc_s_files_lie_in_the_folder_that_its_server_wants(tmp_path: Path, models: Path) -> None:
    make_voc(tmp_path / "data")
    command = ["predict", tmp_path / "data/JPEGImages/2008_000009.jpg", "--model", models / "voc.safetensors"]
    assert segviz(*command, "--server-format", "voc-comp5", "--out", tmp_path / "out") == 0
    path = tmp_path / "out/results/VOC2012/Segmentation/comp5_test_cls/2008_000009.png"
    with Image.open(path) as picture:
        assert picture.mode == "P" and int(np.asarray(picture).max()) <= 20


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["DATA", "--split", "test", "--out", "OUT", "--model", "VOC", "--server-format", "cityscapes"], 1,
         "does not have the classes of this test server: it has 21 classes, the data 19"),
        (["DATA", "--split", "nope", "--out", "OUT", "--model", "VOC"], 1, "has no split 'nope'"),
        (["DATA", "DATA", "--split", "val", "--out", "OUT", "--model", "VOC"], 2, "--split needs one IMAGE"),
        (["DATA", "--class-map", "m.json", "--out", "OUT", "--model", "VOC"], 2, "--class-map needs a data set"),
        (["DATA", "--split", "val", "--zip", "OUT", "--model", "VOC", "--server-format", "voc-comp6"], 2,
         "wants the folder results/VOC2012/Segmentation/comp6_test_cls, which --zip does not make"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_one_sentence(
    tmp_path: Path, models: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_cityscapes(tmp_path / "data")
    places = {"DATA": tmp_path / "data", "OUT": tmp_path / "out", "VOC": models / "voc.safetensors"}
    assert segviz("predict", *[places.get(word, word) for word in arguments]) == code
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1
