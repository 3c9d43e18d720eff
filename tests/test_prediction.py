"""What the library hands out, and what it says to a wrong name."""

from __future__ import annotations

import pickle
import re
from inspect import unwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import segviz
from segviz.catalogue.record import Record
from segviz.data.classes import CAMVID
from segviz.figures.papers import width_in_inches
from segviz.image import ImageError, as_rgb
from segviz.models.registry import MODELS, build
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor, choose_device

pytestmark = pytest.mark.usefixtures("small_pictures")

PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def predict(name: str) -> Prediction:
    return predictor_of(name)(PICTURE)


def predictor_of(name: str) -> Predictor:
    torch.manual_seed(0)
    row = MODELS[name]
    record = Record(name, CAMVID.names, row.backbone, row.output_stride)
    return Predictor(build(name, len(CAMVID.names)), record, "cpu")


def test_a_predictor_prints_on_one_line() -> None:
    assert re.fullmatch(r"Predictor\(sam, \d\.\d M parameters, 11 classes, on cpu\)", repr(predictor_of("sam")))


@pytest.mark.parametrize("name", ["fcn", "sam", "fla", "dual_nl"])
def test_everything_that_is_handed_out_prints_on_one_line(name: str) -> None:
    prediction = predict(name)
    names = ", ".join(MODELS[name].maps) or "none"
    assert repr(prediction) == f"Prediction({name}, 80 x 60 pixels, 11 classes, maps: {names})"
    for value in (prediction, prediction.maps, prediction.attended, *prediction.maps.values()):
        assert len(repr(value)) < 200 and "\n" not in repr(value) and "tensor" not in repr(value)


def test_a_wrong_name_is_answered_by_the_names_that_there_are() -> None:
    prediction = predict("sam")
    with pytest.raises(KeyError, match="model 'sam' has no map 'colect'; its maps are strip, gate"):
        prediction.maps["colect"]
    assert prediction.maps.get("colect") is None and "colect" not in prediction.maps
    assert dict(prediction.maps) == {name: prediction.maps[name] for name in ("strip", "gate")}
    with pytest.raises(KeyError, match="its maps are none"):
        predict("fcn").maps["spatial"]
    assert list(pickle.loads(pickle.dumps(prediction.maps))) == ["strip", "gate"]


def test_labels_are_numpy_and_maps_are_torch() -> None:
    prediction = predict("sam")
    assert isinstance(prediction.labels, np.ndarray) and isinstance(prediction.confidence, np.ndarray)
    row = prediction.maps["strip"].attends_to(0, 0)  # type: ignore[union-attr]
    assert isinstance(row, torch.Tensor) and row.dtype == torch.float32 and row.device.type == "cpu"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "meta", "cpu:7"])
def test_an_unknown_device_is_named_with_the_known_ones(device: str) -> None:
    with pytest.raises(ValueError, match=r"device '.*' is (unknown|not available).*use 'cpu'"):
        choose_device(device)


def test_a_device_is_checked_before_the_checkpoint_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.prediction.predictor.read_checkpoint", lambda _: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="device 'gpu' is unknown"):
        segviz.load("fcn", device="gpu")
    assert choose_device(torch.device("cpu")).type == "cpu"


def test_a_list_of_pictures_is_not_taken_for_one(tmp_path: Path) -> None:
    predictor = Predictor(build("fcn", 3), Record("fcn", ("a", "b", "c"), "mobilenetv2_100", 8), "cpu")
    for pictures in ([PICTURE, PICTURE], (PICTURE, PICTURE[:9]), []):
        with pytest.raises(ImageError, match=r"a list of \d was given; give one picture at a time"):
            unwrap(as_rgb)(pictures)  # as without the tests' own check of types
        with pytest.raises((ImageError, TypeCheckError)):
            predictor(pictures)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", ["3in", 0, -1.0, float("nan"), float("inf")])
def test_a_width_that_is_none_is_named(width: object) -> None:
    with pytest.raises(ValueError, match="is unknown; use 'single', 'double' or a number of inches above 0"):
        segviz.figure("psa-6", [PICTURE], width=width)  # type: ignore[arg-type]
    assert width_in_inches("single") == 3.3 and width_in_inches(4) == 4.0
