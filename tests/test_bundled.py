"""The bundled checkpoints: there, small, recorded, as good as they say, and answering as promised."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import segviz
from segviz.catalogue import checkpoint_file
from segviz.catalogue.bundled import val_miou
from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import SCENES, SCENES_WITHOUT_CONTEXT, VAL, VAL_MULTI_SCALE, VAL_WITHOUT_CONTEXT, Record
from segviz.data.classes import CAMVID
from segviz.data.open_data_set import load_split
from segviz.data.scenes.pool import UNSEEN
from segviz.data.scenes.scene import draw_scene, random_options
from segviz.evaluation.metrics import confusion
from segviz.models.ablation import block_gammas, has_context
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor
from segviz.results.models_page import models_page

ROOT = Path(__file__).parents[1]
CAMVID_FOLDER = Path(os.environ.get("SEGVIZ_CAMVID", ROOT.parent / "shared" / "camvid"))
FOLDER = checkpoints_folder()  # another one than the clone's where SEGVIZ_CHECKPOINTS says so
CURVE = ["step", "minutes", "rate", "loss", "val_miou"]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return draw_scene(3).image


@pytest.fixture(scope="module")
def predictors() -> dict[str, Predictor]:
    return {name: segviz.load(name, device="cpu") for name in MODELS}


@pytest.fixture(scope="module")
def predictions(predictors: dict[str, Predictor], image: np.ndarray) -> dict[str, Prediction]:
    return {name: predictor(image) for name, predictor in predictors.items()}


def record_of(name: str) -> Record:
    return checkpoint_file.read_record(FOLDER / f"{name}.safetensors")


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_small_and_in_float16(name: str) -> None:
    path = FOLDER / f"{name}.safetensors"
    assert path.stat().st_size <= 8 * 1024**2
    with safe_open(path, "pt") as file:
        kinds = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
    assert set(kinds.values()) <= {"F16", "I64"}
    assert all(key.endswith("num_batches_tracked") for key, kind in kinds.items() if kind == "I64")


@pytest.mark.parametrize("name", MODELS)
def test_a_record_says_how_the_model_was_made(name: str) -> None:
    record = record_of(name)
    assert (record.model, record.classes) == (name, CAMVID.names)
    assert record.steps > 0 and record.minutes > 0
    assert record.hardware and record.date and record.initial and record.data
    assert record.command.startswith(f"python -m segviz train --model {name} ")
    assert {"python", "torch", "timm", "torchvision", "numpy"} <= set(record.versions)
    assert val_miou(name) == record.val_miou


@pytest.mark.parametrize("name", MODELS)
def test_a_record_holds_every_evaluation(name: str) -> None:
    found = record_of(name).evaluations
    block = {VAL_WITHOUT_CONTEXT, SCENES_WITHOUT_CONTEXT} if MODELS[name].maps else set()
    assert set(found) == {VAL, SCENES, VAL_MULTI_SCALE} | block
    for which, one in found.items():
        assert set(one.iou) == set(one.boundary_iou) == set(CAMVID.names)
        assert one.images == (50 if which.startswith(SCENES) else 101)
    assert {which for which, one in found.items() if not one.context} == block
    assert [which for which, one in found.items() if one.flip or len(one.scales) > 1] == [VAL_MULTI_SCALE]


@pytest.mark.parametrize("name", MODELS)
def test_a_record_holds_the_cost(predictors: dict[str, Predictor], name: str) -> None:
    cost = record_of(name).cost
    assert cost is not None and cost.size == (360, 480) and cost.hardware
    assert cost.milliseconds > 0 and cost.peak_mb > 0 and cost.gflops > 0
    network, _ = checkpoint_file.load_checkpoint(FOLDER / f"{name}.safetensors")
    assert cost.parameters == sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_recorded_gammas_are_those_of_the_weights(predictors: dict[str, Predictor], name: str) -> None:
    assert record_of(name).gammas == pytest.approx(block_gammas(predictors[name].model))


def test_all_models_were_trained_alike() -> None:
    assert len({(record_of(name).steps, record_of(name).seed) for name in MODELS}) == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_learning_curve_ends_where_the_record_does(name: str) -> None:
    head, *rows = csv.reader((FOLDER / f"{name}.csv").read_text().splitlines())
    assert head == CURVE
    record, last = record_of(name), dict(zip(CURVE, rows[-1], strict=True))
    steps = [int(row[0]) for row in rows]
    assert steps == sorted(set(steps)) and steps[-1] == record.steps
    assert record.val_miou == pytest.approx(float(last["val_miou"]), abs=0.005)


def test_only_fcn_has_no_context(predictors: dict[str, Predictor]) -> None:
    assert [name for name in MODELS if not has_context(predictors[name].model)] == ["fcn"]


@pytest.mark.parametrize("name", MODELS)
def test_recorded_scores_reach_the_release_s_floor(name: str) -> None:
    record = checkpoint_file.read_record(FOLDER / f"{name}.safetensors")
    assert record.val_miou is not None and record.val_miou >= 0.62
    assert record.scenes_miou is not None and record.scenes_miou >= 0.75


def test_the_models_page_is_made_from_the_records() -> None:
    assert (FOLDER / "MODELS.md").read_text() == models_page(FOLDER)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_unseen_scenes_score_as_recorded(predictors: dict[str, Predictor], name: str) -> None:
    scenes = [draw_scene(seed, random_options(seed)) for seed in range(UNSEEN, UNSEEN + 6)]
    counts = [confusion(scene.labels, predictors[name](scene.image).labels, 11) for scene in scenes]
    found = sum(counts[1:], counts[0]).mean_iou
    recorded = predictors[name].record.scenes_miou
    assert recorded is not None and found > recorded - 0.08  # six of the fifty: the mean of few scenes wavers


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_camvid_scores_as_recorded(predictors: dict[str, Predictor], name: str) -> None:
    if not CAMVID_FOLDER.is_dir():
        pytest.skip(f"CamVid is not at {CAMVID_FOLDER}; set SEGVIZ_CAMVID to its folder to run this test")
    samples = load_split(CAMVID_FOLDER, "val").samples[::10]
    counts = [confusion(sample.labels, predictors[name](sample.image).labels, 11) for sample in samples]
    found = sum(counts[1:], counts[0]).mean_iou
    recorded = predictors[name].record.val_miou
    assert recorded is not None and abs(found - recorded) < 0.08  # eleven of the 101 frames


@pytest.mark.parametrize("name", MODELS)
def test_a_prediction_has_the_public_face(predictions: dict[str, Prediction], image: np.ndarray, name: str) -> None:
    prediction = predictions[name]
    assert prediction.labels.shape == prediction.confidence.shape == image.shape[:2]
    assert prediction.labels.dtype == np.uint8 and prediction.confidence.dtype == np.float32
    assert prediction.confidence.min() >= 0 and prediction.confidence.max() <= 1
    assert prediction.classes == CAMVID.names and prediction.palette.shape == (11, 3)
    assert tuple(prediction.maps) == MODELS[name].maps
    assert prediction.cell(359, 479) == tuple(size - 1 for size in prediction.attended.grid)


@pytest.mark.parametrize(
    ("name", "which"),
    [("psa", "collect"), ("psa", "distribute"), ("spatial_nl", "spatial"), ("dual_nl", "spatial"),
     ("cs_nl", "spatial"), ("rcca", "cross"), ("ema", "bases"), ("sam", "strip")],
)  # fmt: skip
def test_the_row_of_a_place_sums_to_one(predictions: dict[str, Prediction], name: str, which: str) -> None:
    one = predictions[name].maps[which]
    row = one.attends_to(10, 20)  # type: ignore[union-attr]
    assert float(row.sum()) == pytest.approx(1, abs=1e-4)
    assert row.shape == one.grid  # type: ignore[union-attr]
    assert float(one.attended_by(10, 20)[10, 20]) == pytest.approx(float(row[10, 20]), rel=1e-3, abs=1e-9)  # type: ignore[union-attr]


def test_snl_s_row_sums_to_one_less_what_falls_outside(predictions: dict[str, Prediction]) -> None:
    one = predictions["snl"].maps["samples"]
    height, width = one.grid  # type: ignore[union-attr]
    for row, column in ((22, 30), (0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)):
        places, weights = one.samples(row, column)  # type: ignore[union-attr]
        kept = [(1 + at).minimum(size - at).clamp(0, 1) for at, size in zip(places.T, (height, width), strict=True)]
        total = float(one.attends_to(row, column).sum())  # type: ignore[union-attr]
        assert total == pytest.approx(float((weights * kept[0] * kept[1]).sum()), abs=1e-4)
        assert 0 <= total <= 1 + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("size", [(97, 131), (480, 360), (270, 480), (1000, 1500)])
@pytest.mark.parametrize("name", ["psa", "snl", "sam"])
def test_any_size_of_picture_is_taken(predictors: dict[str, Predictor], name: str, size: tuple[int, int]) -> None:
    scene = draw_scene(5, width=size[1], height=size[0])
    prediction = predictors[name](scene.image)
    assert prediction.labels.shape == size
    for one in prediction.maps.values():
        if hasattr(one, "attends_to"):
            assert one.attends_to(0, 0).isfinite().all()


def test_the_models_were_trained_apart(predictors: dict[str, Predictor]) -> None:
    heads = {tuple(predictor.model.classifier.weight.flatten().tolist()) for predictor in predictors.values()}
    assert len(heads) == len(MODELS)


def test_gammas_have_left_zero(predictors: dict[str, Predictor]) -> None:
    for name, predictor in predictors.items():
        for key, value in predictor.model.named_parameters():
            if "gamma" in key:
                assert float(value.detach().abs().max()) > 1e-3, f"{name}: {key}"
