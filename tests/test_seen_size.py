"""The size at which a network sees pictures: the area of training, their own up to 1024 x 2048, or any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import segviz as run_segviz

import segviz
from segviz.catalogue.checkpoint_file import write_checkpoint
from segviz.catalogue.record import Record
from segviz.data.classes import CAMVID
from segviz.image import working_size
from segviz.models.registry import MODELS, build
from segviz.prediction.influence import measure_pixel_influence
from segviz.prediction.predictor import Predictor
from segviz.prediction.similarity import compare_features
from segviz.watch.load import OptionError, open_predictor

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 160, 3), dtype=np.uint8)


def predictor_of(name: str) -> Predictor:
    torch.manual_seed(0)
    row = MODELS[name]
    record = Record(name, CAMVID.names, row.backbone, row.output_stride)
    return Predictor(build(name, len(CAMVID.names)), record, "cpu")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = predictor_of("sam")
    path = tmp_path_factory.mktemp("checkpoints") / "sam.safetensors"
    write_checkpoint(path, made.model, made.record)
    return path


def test_its_own_size_fits_into_1024_x_2048_upright_or_lying() -> None:
    sizes = {(360, 480): (360, 480), (1024, 2048): (1024, 2048), (2048, 1024): (2048, 1024), (3000, 3000): (1024, 1024)}
    for own, seen in sizes.items():
        assert working_size(*own, wanted="own") == seen
    assert working_size(1024, 2048, 2, "own") == (512, 1024) and working_size(20, 100, wanted="own") == (32, 100)
    assert working_size(1024, 2048, 2, (512, 1024)) == (256, 512)


def test_the_network_sees_the_size_that_was_asked(file: Path) -> None:
    trained, own, given = (
        segviz.load(file, "cpu", size=size)(PICTURE)
        for size in (None, "own", (96, 128))  # type: ignore[arg-type]
    )
    assert trained.attended.grid == (17, 42)  # 263 x 657 pixels at a stride of 16
    assert own.attended.grid == (4, 10) and own.image is not None and np.array_equal(own.image, PICTURE)
    assert given.attended.grid == (6, 8) and given.labels.shape == own.labels.shape == PICTURE.shape[:2]
    with pytest.raises(OptionError, match="mean, std would have no effect"):
        open_predictor(file, "cpu", mean=(0, 0, 0), std=(1, 1, 1))


def test_every_question_is_answered_at_that_size() -> None:
    predictor = predictor_of("fla")
    own = predictor.at_size("own")
    assert own.model is predictor.model and predictor.size is None and own.at_size("own") is own
    assert own(PICTURE).attended.grid == (8, 20)
    assert measure_pixel_influence(own, PICTURE, (40, 50)).values.shape == (8, 20)
    assert compare_features(own, PICTURE, "block_output").grid == (8, 20)


def test_the_command_line_asks_for_it(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "street.png")
    words = ["attend", tmp_path / "street.png", "--model", file, "--at", "40,50", "--format", "npz", "--json"]
    for size, grid in (("own", [4, 10]), ("96,128", [6, 8])):
        assert run_segviz(*words, "--input-size", size, "--out", tmp_path / size) == 0
        (told,) = json.loads(capsys.readouterr().out)
        assert next(one["grid"] for one in told["maps"] if one["map"] == "strip") == grid
    out = ["--out", tmp_path / "labels", "--input-size", "own"]
    assert run_segviz("predict", tmp_path / "street.png", "--model", file, *out) == 0
    with Image.open(tmp_path / "labels" / "street_labels.png") as labels:
        assert labels.size == (160, 64)
    capsys.readouterr()
    assert run_segviz(*words, "--input-size", "16,16", "--out", tmp_path / "no") == 2
    assert "use sides from 32 to 8192, or own" in capsys.readouterr().err


def test_the_papers_networks_see_any_picture_at_its_own_size() -> None:
    torch.manual_seed(0)
    record = Record("attanet_shufflenet", CAMVID.names, "shufflenet_v2_x1_0", 32)
    predictor = Predictor(build("attanet_shufflenet", len(CAMVID.names)), record, "cpu")
    assert predictor.size == "own" and predictor.seen_size((64, 160)) == (64, 160)
    assert predictor(PICTURE).image.shape == PICTURE.shape  # type: ignore[union-attr]
    assert predictor_of("sam").size is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rcca", "snl", "psa"])
def test_maps_of_a_cityscapes_picture_have_128_x_256_cells(name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), dtype=np.uint8)
    prediction = predictor_of(name).at_size("own")(picture)
    assert prediction.labels.shape == (1024, 2048) and prediction.attended.grid == (128, 256)
    for one in prediction.spatial_maps:
        weights = one.attends_to(*one.cell(1000, 30, 1024, 2048))
        assert torch.isfinite(weights).all() and weights.sum() == pytest.approx(1, abs=1e-3)
