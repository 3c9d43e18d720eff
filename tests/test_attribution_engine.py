"""Attributions by the engine: each visitor's own, ended when unwanted, kept once found, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from backend_contract import PATIENCE, error_of, until
from test_attribution import SIZE, predictor_of, random_model, random_picture

from segviz.attribution import METHODS, AttributionError, Options, Target, attribute
from segviz.engine import Answer, Attribute, Capacity, CrashError, Engine, LeaseError, Request, Runner, ThreadBackend
from segviz.engine.memory_budget import forward_need
from segviz.prediction.predictor import Predictor

LONG = Options(steps=1000)  # minutes of work


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models see pictures at 32 x 48 pixels."""
    monkeypatch.setattr("segviz.image.WORKING_PIXELS", SIZE[0] * SIZE[1])


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return predictor_of(random_model("spatial_nl"))


@pytest.fixture
def engine(predictor: Predictor) -> Iterator[Engine]:
    """Two attributions at once, one worker for predictions."""
    backend = ThreadBackend(Runner(lambda name: predictor, lambda name: name), Capacity(workers=3, memory_mb=10**5))
    yield Engine(backend)
    backend.close()


def op(method: str = "saliency", **more: Any) -> Attribute:
    return Attribute(method, **{"target": Target(1), "options": Options(steps=4, window=16, stride=16), **more})


def ask(engine: Engine, asked: Attribute, seed: int = 0, session: str = "a") -> Answer:
    return engine.ask("spatial_nl", random_picture(seed), asked, session)


@pytest.mark.slow
def test_visitors_at_once_each_get_their_own(engine: Engine, predictor: Predictor) -> None:
    asked = [op("integrated_gradients", target=Target(seed % 3), options=Options(steps=20)) for seed in range(4)]
    answers = [ask(engine, one, seed, f"visitor {seed}") for seed, one in enumerate(asked)]
    until(lambda: engine.health().running == 2)  # beside each other
    for seed, (one, answer) in enumerate(zip(asked, answers, strict=True)):
        alone = attribute(predictor, random_picture(seed), one.method, one.target, options=one.options)
        np.testing.assert_array_equal(answer.result(PATIENCE).value.values, alone.values)


def test_a_cancelled_attribution_stops_within_its_evaluation(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    report = ThreadBackend._report

    def watched(self: ThreadBackend, computation: Any, done: int, total: int) -> None:
        looks.append(done)
        report(self, computation, done, total)

    monkeypatch.setattr(ThreadBackend, "_report", watched)
    answer = ask(engine, op("integrated_gradients", options=LONG))
    until(lambda: answer.status().done >= 2)
    answer.cancel()
    count = len(looks)
    until(lambda: engine.health().running == 0)
    assert len(looks) <= count + 3, "it went on for layers"
    assert looks.count(1) > 50, "it looks once an evaluation"
    assert not engine.is_cached("spatial_nl", random_picture(), op("integrated_gradients", options=LONG))
    assert ask(engine, op()).result(PATIENCE).value.method == "saliency"  # the worker is free again


def test_who_went_away_is_not_computed_for(engine: Engine) -> None:
    asked = [op("integrated_gradients", options=LONG)]
    (answer,) = engine.ask_all("spatial_nl", random_picture(), asked, "gone", lease_s=0.5)
    until(lambda: engine.health().running == 1)
    assert isinstance(error_of(answer), LeaseError)
    until(lambda: engine.health().running == 0)


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_a_single_evaluation_can_be_ended_inside(predictor: Predictor, method: str) -> None:
    asked = op(method)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(predictor, random_picture(), method, asked.target, options=asked.options, check=check)
    assert calls == 30


def test_a_backward_asks_too_whether_to_go_on(predictor: Predictor) -> None:
    image, calls = random_picture(), [0, 0]

    def count(which: int) -> None:
        calls[which] += 1

    attribute(predictor, image, "saliency", Target(1), check=lambda: count(0))
    with torch.no_grad():
        attribute(predictor, image, "occlusion", Target(1), options=Options(window=48, stride=48),
                  check=lambda: count(1))  # fmt: skip
    assert calls[0] > calls[1] / 2 + 50  # two forwards without a backward, against one with


# ---- what is kept ----------------------------------------------------------------------------------------

MASK = np.zeros(SIZE, bool)
MASK[3:9, 5:12] = True
OTHERS: dict[str, Attribute] = {
    "method": op("saliency"),
    "class": op("occlusion", target=Target(2)),
    "pixel": op("occlusion", target=Target(1, pixel=(3, 4))),
    "mask": op("occlusion", target=Target(1, mask=MASK)),
    "other mask": op("occlusion", target=Target(1, mask=~MASK)),
    "window": op("occlusion", options=Options(window=20, stride=16)),
    "stride": op("occlusion", options=Options(window=16, stride=8)),
    "baseline": op("occlusion", options=Options(window=16, stride=16, baseline="black")),
}


def key(asked: Attribute) -> str:
    return Request("spatial_nl", random_picture(), asked).key("sha")


def test_another_question_has_another_answer() -> None:
    keys = [key(op("occlusion")), *map(key, OTHERS.values())]
    assert len(set(keys)) == len(keys)


def test_an_option_that_a_method_does_not_heed_keeps_its_answer(engine: Engine) -> None:
    first = ask(engine, op()).result(PATIENCE)
    other = op(options=Options(steps=9, window=20, stride=5, baseline="grey", relu=True))
    assert ask(engine, other).result(PATIENCE) is first


@pytest.mark.parametrize("method", METHODS)
def test_options_that_a_method_heeds_are_those_that_change_its_values(predictor: Predictor, method: str) -> None:
    start = Options(steps=2, window=16, stride=16, baseline="grey")
    other: dict[str, Any] = {"steps": 5, "window": 24, "stride": 8, "baseline": "black", "relu": True}
    targets = [Target(index) for index in range(3 if METHODS[method].at_block else 1)]  # one has values of both signs

    def values(options: Options) -> np.ndarray:
        return np.stack(
            [attribute(predictor, random_picture(), method, target, options=options).values for target in targets]
        )

    before = values(start)
    changing = {
        name for name, value in other.items() if not np.array_equal(values(replace(start, **{name: value})), before)
    }
    assert changing == set(METHODS[method].heeds)


# ---- what goes wrong -------------------------------------------------------------------------------------

SHORT = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    "python": MemoryError(),
    "cuda's library": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


@pytest.mark.parametrize("where", SHORT)
def test_too_little_memory_is_told_with_its_cure(engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def short(*_: object) -> None:
        raise SHORT[where]

    monkeypatch.setattr("segviz.attribution.methods.Saliency", short)
    error = error_of(ask(engine, op()))
    assert isinstance(error, AttributionError)
    assert "the cpu's memory does not suffice; use Grad-CAM" in str(error)
    assert ask(engine, op("grad_cam_output")).result(PATIENCE).value.method == "grad_cam_output"


def test_what_is_no_lack_of_memory_is_not_taken_for_one(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr("segviz.attribution.methods.Saliency", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        attribute(predictor, random_picture(), "saliency", Target(1))


def test_a_fault_is_logged_and_no_trace_reaches_the_visitor(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("segviz.attribution.methods.Saliency", broken)
    error = error_of(ask(engine, op()))
    assert isinstance(error, CrashError) and "secret" not in str(error)
    assert "secret detail" in caplog.text


def test_a_prediction_has_room_beside_an_attribution() -> None:
    size, budget = (360, 480), 1024**3
    asked = op(options=Options(memory_mib=4096))
    assert asked.need(size, budget) + forward_need(size, 1) <= budget
    assert asked.need(size, budget) > budget * 2 // 3
