"""Similarity of features: cosines at every stage, sent to the browser in half the bytes, never taken for weights."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
import torch
from test_attribution import CLASSES, predictor_of, random_model, random_picture

from segviz.attention.maps import FeatureSimilarity
from segviz.attention.statistics import own_class_share, query_dependence, summarise
from segviz.engine import Capacity, CompareFeatures, Engine, MeasureInfluence, Runner, ThreadBackend
from segviz.image import to_tensor
from segviz.prediction.influence import NoContextError
from segviz.prediction.predictor import Predictor
from segviz.prediction.similarity import STAGES, Stage, StageError, compare_features, features_at
from segviz.viewer import wire
from segviz.viewer.panels_of_maps import panels_of_map

SIZE = (32, 48)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models see pictures at 32 x 48 pixels."""
    monkeypatch.setattr("segviz.image.WORKING_PIXELS", SIZE[0] * SIZE[1])


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return predictor_of(random_model("fla"))


def similarity(cells: int = 12, channels: int = 5) -> FeatureSimilarity:
    features = torch.randn(cells, channels, generator=torch.Generator().manual_seed(1))
    features[3] = 0
    return FeatureSimilarity("deep", (3, cells // 3), torch.nn.functional.normalize(features, dim=1))


def test_every_stage_has_a_name() -> None:
    assert tuple(STAGES) == get_args(Stage)


@pytest.mark.parametrize("stage", STAGES)
def test_cosines_are_those_of_the_features(predictor: Predictor, stage: Stage) -> None:
    picture = random_picture(0)
    map_ = compare_features(predictor, picture, stage)
    with torch.no_grad():
        features = features_at(predictor.model, to_tensor(picture, predictor.device), stage)[0].double()
    assert map_.name == stage and map_.grid == features.shape[1:]
    row, column = map_.grid[0] - 1, 1
    here = features[:, row, column]
    expected = torch.tensor([
        [float(here @ there / (here.norm() * there.norm()).clamp_min(1e-30)) for there in line.unbind(1)]
        for line in features.unbind(1)
    ])  # fmt: skip
    torch.testing.assert_close(map_.attends_to(row, column), expected, rtol=0, atol=1e-5)
    assert torch.equal(map_.attended_by(row, column), map_.attends_to(row, column))
    cell = torch.tensor([map_.index(row, column)])
    torch.testing.assert_close(map_.rows(cell)[0].reshape(map_.grid), map_.attends_to(row, column))


def test_a_model_without_context_has_likeness_too() -> None:
    fcn = predictor_of(random_model("fcn"))
    into, out = (compare_features(fcn, random_picture(0), stage) for stage in ("block_input", "block_output"))
    assert torch.equal(into.unit_features, out.unit_features)


def test_an_unknown_stage_is_refused(predictor: Predictor) -> None:
    with pytest.raises(StageError, match="stage 'head' is unknown; use middle, deep, block_input, block_output, dec"):
        compare_features(predictor, random_picture(0), "head")


def test_predictions_stay_as_light_as_they_were(predictor: Predictor) -> None:
    assert not any(isinstance(one, FeatureSimilarity) for one in predictor(random_picture(0)).maps.values())


def test_a_feature_of_zeros_is_like_nothing() -> None:
    map_ = similarity()
    assert not map_.attends_to(0, 3).any()
    assert map_.signed and map_.unit == "cosine"


@pytest.mark.parametrize("positive", [False, True])
def test_cosines_have_no_statistics(positive: bool) -> None:
    """Not even if all are positive, as after a ReLU: then they could pass for weights."""
    map_ = similarity()
    if positive:
        map_ = FeatureSimilarity("deep", map_.grid, map_.unit_features.abs())
    labels = np.zeros((30, 40), np.uint8)
    for use in (
        lambda: summarise(map_, 0, 0, labels, (30, 40)),
        lambda: own_class_share(map_, 0, 0, labels),
        lambda: query_dependence(map_, [(0, 0), (1, 1)]),
    ):
        with pytest.raises(ValueError, match="map 'deep' has cosines; these numbers need a map of weights"):
            use()
    assert not any(panel.stats for panel in panels_of_map(map_))


@pytest.mark.parametrize("channels", [3, 24, 512])
def test_the_browser_gets_cosines_within_a_thousandth(channels: int) -> None:
    features = torch.randn(200, channels, generator=torch.Generator().manual_seed(0)).relu()
    map_ = FeatureSimilarity("deep", (10, 20), torch.nn.functional.normalize(features, dim=1))
    content = wire.pack(map_)
    length = int.from_bytes(content[:4], "little")
    header, values = json.loads(content[4 : 4 + length]), np.frombuffer(content[4 + length :], "<i2")
    assert header["kind"] == "similarity" and header["tensors"][0]["dtype"] == "int16"
    sent = torch.from_numpy(values.astype(np.float32)).view(200, channels) / header["steps"]
    error = (sent @ sent.T - map_.unit_features @ map_.unit_features.T).abs().max()
    assert error < 1e-3


# ---- asked of the engine -----------------------------------------------------------------------------------


def engine_of(predictor: Predictor) -> Engine:
    return Engine(
        ThreadBackend(Runner(lambda name: predictor, lambda name: name), Capacity(workers=1, memory_mb=10**5))
    )


def test_the_engine_answers_both_questions_once(predictor: Predictor) -> None:
    engine, picture = engine_of(predictor), random_picture(0)
    try:
        for op in (MeasureInfluence((3, 5)), CompareFeatures("deep")):
            assert not engine.is_cached("fla", picture, op)
            first, second = (engine.ask("fla", picture, op).result() for _ in range(2))
            assert first.value is second.value and first.keep and not first.notes
            assert engine.is_cached("fla", picture, op)
        assert not engine.is_cached("fla", picture, MeasureInfluence((3, 6)))
        influence = engine.ask("fla", picture, MeasureInfluence((3, 5))).result().value
        assert influence.pixel == (3, 5) and influence.class_index in range(len(CLASSES))
        assert not influence.values.flags.writeable
        with pytest.raises(ValueError, match="outside"):
            engine.ask("fla", picture, MeasureInfluence((99, 0))).result()
    finally:
        engine.backend.close()  # type: ignore[attr-defined]


def test_the_engine_says_that_there_is_no_context() -> None:
    engine = engine_of(predictor_of(random_model("fcn")))
    try:
        with pytest.raises(NoContextError, match="no context"):
            engine.ask("fcn", random_picture(0), MeasureInfluence((0, 0))).result()
    finally:
        engine.backend.close()  # type: ignore[attr-defined]


class LeftError(Exception):
    """Nobody waits any more."""


def test_an_influence_that_nobody_waits_for_ends_between_its_parts(predictor: Predictor) -> None:
    calls = 0

    def report(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise LeftError

    with pytest.raises(LeftError):
        MeasureInfluence((0, 0)).run(predictor, random_picture(0), 10**12, report)
    assert calls == 2


def test_an_influence_needs_more_memory_than_a_prediction_and_shrinks_sooner() -> None:
    op, size = MeasureInfluence((0, 0)), (360, 480)
    assert op.need(size, 10**12) > CompareFeatures("deep").need(size, 10**12)
    assert op.need(size, op.need(size, 10**12) - 1) < op.need(size, 10**12)
