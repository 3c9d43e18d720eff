"""Attributions in the background: one at a time in the order of asking, ended when unwanted, kept once found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_attribution import SIZE, predictor_of, random_model, random_picture

from segviz.attribution import METHODS, Attribution, AttributionError, Options, Target, attribute, jobs
from segviz.attribution.jobs import Attributions, Job, Question
from segviz.predict import Predictor

PATIENCE = 60  # seconds
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
def desk(predictor: Predictor) -> Attributions:
    return Attributions(lambda model: predictor)


def question(method: str = "saliency", seed: int = 0, **more: Any) -> Question:
    asked = {"target": Target(1), "options": Options(steps=4, window=16, stride=16), **more}
    return Question("spatial_nl", random_picture(seed), method, **asked)


def until(holds: Callable[[], bool], job: Job | None = None) -> None:
    """Waits as a visitor does, who asks how far the job is."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came"
        if job is not None:
            job.progress()
        time.sleep(0.005)


def ended(job: Job) -> Job:
    until(lambda: job.ended, job)
    return job


def test_a_job_answers_as_attribute_does(desk: Attributions, predictor: Predictor) -> None:
    asked = [question(method) for method in METHODS]
    job = ended(desk.start(asked))
    assert (job.state, job.trouble, job.answered) == ("done", "", len(METHODS))
    for one in asked:
        found = desk.known(one)
        assert found is not None
        expected = attribute(predictor, one.image, one.method, one.target, options=one.options)
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-3 * np.abs(expected.values).max())


def test_two_visitors_at_once_each_get_their_own(predictor: Predictor) -> None:
    desk = Attributions(lambda model: predictor, at_once=2)
    asked = [question("integrated_gradients", seed, target=Target(seed)) for seed in (1, 2)]
    for job in [desk.start([one]) for one in asked]:
        ended(job)
    for one in asked:
        expected = attribute(predictor, one.image, one.method, one.target, options=one.options).values
        found = desk.known(one)
        assert found is not None
        np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_a_cancelled_job_stops_within_its_evaluation(desk: Attributions, monkeypatch: pytest.MonkeyPatch) -> None:
    layers: list[float] = []
    check = Job.check

    def watched(self: Job) -> None:
        layers.append(time.monotonic())
        check(self)

    monkeypatch.setattr(Job, "check", watched)
    job = desk.start([question("integrated_gradients", options=LONG)])
    until(lambda: job.done >= 2, job)
    job.cancel()
    done, count = job.done, len(layers)
    assert ended(job).state == "cancelled"
    assert job.done <= done + 1
    assert len(layers) <= count + 3, "it went on for layers"
    time.sleep(0.3)
    assert len(layers) <= count + 3
    assert desk.known(job.questions[0]) is None
    assert ended(desk.start([question()])).state == "done"  # its turn is free again


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_a_single_evaluation_can_be_ended_inside(predictor: Predictor, method: str) -> None:
    asked = question(method)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(predictor, asked.image, method, asked.target, options=asked.options, check=check)
    assert calls == 30


def test_a_backward_asks_too_whether_to_go_on(predictor: Predictor) -> None:
    asked, calls = question(), [0, 0]

    def count(which: int) -> None:
        calls[which] += 1

    attribute(predictor, asked.image, "saliency", asked.target, check=lambda: count(0))
    with torch.no_grad():
        attribute(predictor, asked.image, "occlusion", asked.target, options=Options(window=48, stride=48),
                  check=lambda: count(1))  # fmt: skip
    assert calls[0] > calls[1] / 2 + 50  # two forwards without a backward, against one with


def test_jobs_wait_for_one_another_in_the_order_of_asking(
    monkeypatch: pytest.MonkeyPatch, predictor: Predictor
) -> None:
    order: list[int] = []
    running, most, gate = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow(predictor: Predictor, image: np.ndarray, method: str, target: Target, **more: Any) -> Attribution:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            order.append(target.class_index)
        gate.wait(PATIENCE)
        with lock:
            running -= 1
        return attribute(predictor, image, method, target)

    monkeypatch.setattr(jobs, "attribute", slow)
    desk = Attributions(lambda model: predictor)
    started: list[Job] = []
    for index in (2, 0, 1):
        started.append(desk.start([question(target=Target(index))]))
        until(lambda: started[-1].state == "running" or started[-1].ahead > 0)
    first, second, third = started
    assert (first.state, second.state, third.state) == ("running", "waiting", "waiting")
    assert (second.ahead, third.ahead) == (1, 2)
    assert second.progress()[1] == "Saliency: waiting for another visitor's computation (1 before this one) …"
    gate.set()
    for job in started:
        assert ended(job).state == "done"
    assert order == [2, 0, 1]
    assert most == 1


def test_who_waits_can_cancel_and_those_behind_move_up(monkeypatch: pytest.MonkeyPatch, predictor: Predictor) -> None:
    gate = threading.Event()
    asked: list[int] = []

    def slow(predictor: Predictor, image: np.ndarray, method: str, target: Target, **more: Any) -> Attribution:
        asked.append(target.class_index)
        gate.wait(PATIENCE)
        return attribute(predictor, image, method, target)

    monkeypatch.setattr(jobs, "attribute", slow)
    desk = Attributions(lambda model: predictor)
    started: list[Job] = []
    for index in range(3):
        started.append(desk.start([question(target=Target(index))]))
        until(lambda: started[-1].state == "running" or started[-1].ahead > 0)
    started[1].cancel()
    assert ended(started[1]).state == "cancelled"
    until(lambda: started[2].ahead == 1, started[2])
    gate.set()
    assert [ended(one).state for one in started] == ["done", "cancelled", "done"]
    assert asked == [0, 2]


def test_a_job_whose_visitor_went_away_ends(desk: Attributions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ABANDONED_AFTER", 0.2)
    job = desk.start([question("integrated_gradients", options=LONG)])
    until(lambda: job.ended)
    assert job.state == "cancelled"


# ---- what is kept ----------------------------------------------------------------------------------------


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of all computations from now on."""
    calls: list[str] = []

    def counted(predictor: Predictor, image: np.ndarray, method: str, target: Target, **more: Any) -> Attribution:
        calls.append(method)
        return attribute(predictor, image, method, target, **more)

    monkeypatch.setattr(jobs, "attribute", counted)
    return calls


def test_an_answer_is_computed_once(desk: Attributions, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    for _ in range(2):
        assert ended(desk.start([question("saliency"), question("grad_cam_output")])).state == "done"
    assert calls == ["saliency", "grad_cam_output"]


MASK = np.zeros(SIZE, bool)
MASK[3:9, 5:12] = True
OTHERS: dict[str, Question] = {
    "model": replace(question("occlusion"), model="fcn"),
    "picture": question("occlusion", seed=1),
    "method": question("saliency"),
    "class": question("occlusion", target=Target(2)),
    "pixel": question("occlusion", target=Target(1, pixel=(3, 4))),
    "mask": question("occlusion", target=Target(1, mask=MASK)),
    "other mask": question("occlusion", target=Target(1, mask=~MASK)),
    "window": question("occlusion", options=Options(window=20, stride=16)),
    "stride": question("occlusion", options=Options(window=16, stride=8)),
    "baseline": question("occlusion", options=Options(window=16, stride=16, baseline="black")),
}


def test_another_question_has_another_answer() -> None:
    keys = [question("occlusion").key, *(one.key for one in OTHERS.values())]
    assert len(set(keys)) == len(keys)


def test_one_changed_pixel_is_another_picture() -> None:
    changed = random_picture()
    changed[-1, -1, 0] ^= 1
    assert replace(question(), image=changed).key != question().key


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


def test_answers_kept_longest_go_first(predictor: Predictor) -> None:
    two = 2 * SIZE[0] * SIZE[1] * 4
    desk = Attributions(lambda model: predictor, cache_bytes=two)
    asked = [question(seed=seed) for seed in range(3)]
    ended(desk.start(asked[:2]))
    assert desk.known(asked[0]) is not None  # asked for again, so the other one is older
    ended(desk.start(asked[2:]))
    assert [desk.known(one) is not None for one in asked] == [True, False, True]


# ---- what goes wrong -------------------------------------------------------------------------------------

SHORT = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    "python": MemoryError(),
}


@pytest.mark.parametrize("where", SHORT)
def test_too_little_memory_is_told_with_its_cure(
    desk: Attributions, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def short(*_: object) -> None:
        raise SHORT[where]

    monkeypatch.setattr("segviz.attribution.methods.Saliency", short)
    job = ended(desk.start([question()]))
    assert job.state == "failed"
    assert "memory of the cpu does not suffice; use Grad-CAM" in job.trouble
    assert ended(desk.start([question("grad_cam_output")])).state == "done"  # and the next one has its turn


def test_what_is_no_lack_of_memory_is_not_taken_for_one(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr("segviz.attribution.methods.Saliency", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        attribute(predictor, random_picture(), "saliency", Target(1))


def test_a_fault_is_logged_and_no_trace_reaches_the_visitor(
    desk: Attributions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("segviz.attribution.methods.Saliency", broken)
    job = ended(desk.start([question()]))
    assert job.state == "failed" and "secret" not in job.trouble and job.trouble.endswith(".")
    assert "secret detail" in caplog.text


def test_a_question_that_cannot_be_answered_says_why(desk: Attributions) -> None:
    job = ended(desk.start([question(target=Target(7))]))
    assert job.state == "failed"
    assert job.trouble == "class 7 does not exist; this model has classes 0 to 2."
    with pytest.raises(AttributionError):
        attribute(desk._load(""), random_picture(), "saliency", Target(7))


def test_progress_counts_steps_and_guesses_the_rest(desk: Attributions) -> None:
    job = desk.start([question("integrated_gradients", options=LONG)])
    until(lambda: job.done >= 2, job)
    part, words = job.progress()
    assert part == pytest.approx(job.done / 1003, abs=3 / 1003)
    assert words.startswith("Integrated Gradients: step ") and "of 1003, about" in words
    job.cancel()
    assert job.progress()[1] == "Integrated Gradients: ending …" or job.ended
    ended(job)


def test_how_long_it_takes_is_learnt(desk: Attributions) -> None:
    asked = question("grad_cam_output", seed=9)
    assert desk.expected_seconds(asked) == jobs.FIRST_GUESS[True]
    ended(desk.start([asked]))
    assert desk.expected_seconds(asked) != jobs.FIRST_GUESS[True]
    assert 0 < desk.expected_seconds(asked) < PATIENCE
