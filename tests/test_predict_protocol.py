"""`predict` by a test protocol: the labels that `evaluate` scores by the same words."""

from __future__ import annotations

import json
from pathlib import Path

import network_cases as cases
import numpy as np
import pytest
import torch
from own_networks import write_networks
from PIL import Image
from test_cli import segviz

from segviz.catalogue.checkpoint_file import write_checkpoint
from segviz.catalogue.record import Record
from segviz.cli.parser import build_parser
from segviz.evaluation.evaluate import class_scores
from segviz.evaluation.metrics import confusion
from segviz.evaluation.protocols import ScoringProtocol
from segviz.models.registry import build
from segviz.paper_tables.commands import table_commands
from segviz.paper_tables.tables import PAPER_TABLES
from segviz.prediction.predictor import load_predictor

pytestmark = pytest.mark.filterwarnings("ignore:.*is assumed", "ignore:.*is not used", "ignore:.*slide crops")

CLASSES = ("road", "tree", "sky")
SIZES = {"one": (70, 90), "two": (66, 80)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled pictures, and three networks of their classes: a checkpoint, published weights, and a user's own."""
    root = tmp_path_factory.mktemp("protocol")
    random = np.random.default_rng(0)
    for part, channels in (("images", (3,)), ("labels", ())):
        (root / "data/val" / part).mkdir(parents=True)
        for name, size in SIZES.items():
            pixels = random.integers(0, 256 if channels else 3, (*size, *channels), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "data/val" / part / f"{name}.png")
    (root / "data/val.txt").write_text("\n".join(SIZES) + "\n")
    (root / "data/meta.json").write_text(json.dumps({"classes": CLASSES, "void": 255}))
    torch.manual_seed(0)
    write_checkpoint(root / "fcn.safetensors", build("fcn", len(CLASSES)), Record("fcn", CLASSES, "mobilenetv2_100", 8))
    torch.save(cases.psanet_of_semseg((9, 9)), root / "psanet.pth")
    write_networks(root)
    return root


def words_of(folder: Path, network: str) -> list[str | Path]:
    """The words that name a network."""
    if network == "checkpoint":
        return ["--model", folder / "fcn.safetensors"]
    source = folder / "psanet.pth" if network == "published" else f"{folder / 'net.py'}:build"
    return ["--model", source, "--classes", ",".join(CLASSES)]


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("checkpoint", ["--scales", "0.75,1", "--flip", "--crop", "48", "64", "--step", "1/2", "--long-side", "80"]),
        ("checkpoint", ["--scales", "1", "--input-size", "64,96"]),
        ("published", ["--flip"]),
        ("published", ["--whole"]),
        ("own", ["--scales", "1,1.25", "--flip"]),
    ],
)
def test_labels_are_those_that_evaluate_scores(
    folder: Path, tmp_path: Path, network: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    model, data, device = words_of(folder, network), folder / "data", ["--device", "cpu"]
    assert segviz("evaluate", *model, "--data", data, *words, *device, "--json") == 0
    scored = json.loads(capsys.readouterr().out)
    (one,) = [value for name, value in scored.items() if name.startswith("val")]
    assert segviz("predict", data, "--split", "val", *model, *words, *device, "--out", tmp_path) == 0
    total = np.zeros((3, 3), np.int64)
    for name, size in SIZES.items():
        labels = np.asarray(Image.open(tmp_path / f"{name}_labels.png"))
        assert labels.shape == size
        total += confusion(np.asarray(Image.open(data / f"val/labels/{name}.png")), labels, 3).matrix
    assert total.tolist() == one["confusion"]


def test_confidence_is_the_highest_mean_score(folder: Path, tmp_path: Path) -> None:
    file, picture = folder / "fcn.safetensors", folder / "data/val/images/one.png"
    words = ["--flip", "--crop", "48", "64", "--device", "cpu"]
    assert segviz("predict", picture, "--model", file, *words, "--out", tmp_path) == 0
    with torch.inference_mode():
        model = load_predictor(file, "cpu").model
        scores = class_scores(model, np.array(Image.open(picture)), ScoringProtocol(flip=True, crop=(48, 64))).numpy()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "one_labels.png")), scores.argmax(0))
    with np.load(tmp_path / "one_confidence.npz") as found:
        assert np.array_equal(found["confidence"], scores.max(0))


def test_without_a_protocol_the_answer_is_the_predictor_s(folder: Path, tmp_path: Path) -> None:
    file, picture = folder / "fcn.safetensors", folder / "data/val/images/one.png"
    assert segviz("predict", picture, "--model", file, "--device", "cpu", "--out", tmp_path) == 0
    answer = load_predictor(file, "cpu")(picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "one_labels.png")), answer.labels)
    with np.load(tmp_path / "one_confidence.npz") as found:
        assert np.array_equal(found["confidence"], answer.confidence)


def test_a_protocol_needs_names_of_classes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", f"{folder / 'net.py'}:build", "--flip", "--out", tmp_path]
    assert segviz("predict", folder / "data/val/images", *words) == 1
    assert "are not known; name them with --classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "words", "cure"),
    [
        ("checkpoint", ["--step", "1/2"], "--step needs crops; give --crop H W, or remove it"),
        ("checkpoint", ["--whole"], "is shown whole anyway; remove --whole"),
        ("published", ["--step", "1/2", "--whole"], "--step needs crops, and --whole shows none"),
        ("published", ["--crop", "64", "64", "--whole"], "--crop and --whole are opposites"),
        ("checkpoint", ["--long-side", "80", "--input-size", "own"], "two ways to say one thing; give one of them"),
        ("checkpoint", ["--long-side", "80", "--input-size", "64,96"], "two ways to say one thing; give one of them"),
    ],
)
def test_options_without_effect_are_refused(
    folder: Path, tmp_path: Path, network: str, words: list[str], cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert segviz("predict", folder / "data/val/images", *words_of(folder, network), *words, "--out", out) == 2
    assert cure in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("flanet-1", "--scales 1"),
        ("attanet-1", "--input-size 512,1024 --scales 1"),
        ("ssanet-3", "--crop 769 769 --flip --scales 0.5,0.75,1,1.25,1.5,1.75"),
        ("psanet-3", "--crop 465 465 --long-side 512 --flip --scales 1"),
        ("psanet-6", "--crop 705 705 --long-side 2048 --flip --scales 1"),
    ],
)
def test_files_for_a_test_server_follow_the_table_s_protocol(table: str, words: str) -> None:
    paper = table.split("-")[0]  # rows of other papers follow their own protocols
    lines = [
        line
        for line in table_commands(PAPER_TABLES[table], Path("out"))
        if " predict " in line and f"out/{paper}_" in line
    ]
    assert lines
    assert all(f".safetensors {words} --server-format " in line for line in lines)
    build_parser().parse_args(lines[0].split()[3:])
