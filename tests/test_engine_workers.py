"""What the engine's worker threads survive, what they keep in memory, and what stays free for predictions."""

from __future__ import annotations

import gc
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from backend_contract import MEANWHILE, ONE, PATIENCE, TWO, Models, Stepped, ask, label, picture, until

from segviz.catalogue.entry import CatalogueError
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.engine import Capacity, Engine, OpResult, Predict, Request, Result, Runner, ThreadBackend
from segviz.engine.queue_backend import QueueBackend
from segviz.engine.ray_cluster.ray_backend import RayBackend
from segviz.settings import MIB


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def threads(models: Models) -> Iterator[Callable[..., ThreadBackend]]:
    """Backends of threads, closed in the end."""
    made: list[ThreadBackend] = []

    def make(capacity: Capacity, *more: Any, identify: Callable[[str], str] = models.identify) -> ThreadBackend:
        made.append(ThreadBackend(Runner(models.load, identify), capacity, *more))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@dataclass(frozen=True)
class Needing(Predict):
    """A prediction that needs so many MiB."""

    mib: int = 0

    def need(self, size: tuple[int, int], budget: int) -> int:
        return self.mib * MIB

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: Callable[[int, int], None]) -> OpResult:
        return OpResult(predictor(image))


# ---- what workers survive -------------------------------------------------------------------------------


def test_an_observer_that_fails_costs_no_answer_and_no_worker(
    threads: Callable[..., ThreadBackend], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fail(model: str, op: str, seconds: float) -> None:
        told.append(model)
        raise RuntimeError("the disk of the statistics is full")

    backend = threads(ONE, fail)
    assert [label(backend.submit(ask(value))) for value in (1, 2)] == [1, 2]
    until(lambda: len(told) == 2)
    backend.close()
    assert "observer" in caplog.text and "disk of the statistics" in caplog.text


def test_an_observer_that_takes_its_time_delays_no_answer(threads: Callable[..., ThreadBackend]) -> None:
    go_on = threading.Event()
    backend = threads(ONE, lambda *_: go_on.wait(PATIENCE) and None)
    try:
        assert label(backend.submit(ask(1))) == 1
        assert backend.health().running == 0  # nor does it hold the lock
    finally:
        go_on.set()


def test_threads_that_could_not_be_started_are_started_with_the_next_request(
    threads: Callable[..., ThreadBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, list[str]()

    def start_one(thread: threading.Thread) -> None:
        if len(started) == 1:
            started.append("")
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    backend = threads(ONE)
    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        backend.submit(ask(1))
    assert label(backend.submit(ask(1))) == 1
    assert started == ["segviz engine", "", "segviz engine"]
    backend.close()


# ---- what is cached -------------------------------------------------------------------------------------


def test_nothing_is_cached_of_a_network_whose_files_are_gone(
    threads: Callable[..., ThreadBackend], models: Models
) -> None:
    def identify(name: str) -> str:
        raise CatalogueError("net.py is missing; restore it, or take the model out of models.toml")

    backend = threads(ONE, identify=identify)
    assert backend.find_cached(ask(1)) is None
    assert not Engine(backend).is_cached("fla", picture(1))
    with pytest.raises(CatalogueError, match=r"net\.py is missing"):  # who asks is told
        backend.submit(ask(1)).result(PATIENCE)


# ---- what workers keep ----------------------------------------------------------------------------------


def test_a_worker_that_waits_keeps_no_picture(threads: Callable[..., ThreadBackend]) -> None:
    backend = threads(TWO)
    request = ask(1)
    answer = backend.submit(request)
    assert label(answer) == 1
    kept = weakref.ref(request)
    del request, answer

    def is_gone() -> bool:
        gc.collect()
        return kept() is None

    until(is_gone)
    assert label(backend.submit(ask(2))) == 2  # the workers were there all the time


def test_what_stood_behind_a_withdrawn_request_starts_as_soon_as_it_fits(
    threads: Callable[..., ThreadBackend], models: Models
) -> None:
    backend = threads(Capacity(workers=2, memory_mb=10))
    with models.held():
        first = backend.submit(Request("fla", picture(1), Needing(mib=6), "a"))
        until(lambda: models.running == 1)
        waiting = backend.submit(Request("fla", picture(2), Needing(mib=7), "b"))
        behind = backend.submit(Request("fla", picture(3), Needing(mib=4), "c"))
        assert (waiting.status().position, behind.status().position) == (1, 2)
        time.sleep(MEANWHILE)  # the other worker has seen that the first of them does not fit
        waiting.cancel()
        until(lambda: models.running == 2)
    assert [label(one) for one in (first, behind)] == [1, 3]


# ---- what stays free for predictions --------------------------------------------------------------------


class Replicas(Runner):
    """As a RemoteRunner with replicas that run here.

    Attributes:
        running: how many run.
    """

    def __init__(self, models: Models, plan: ReplicaPlan, running: int | None) -> None:
        super().__init__(models.load, models.identify)
        self.plan, self.running = plan, running
        self._slots = threading.Semaphore(plan.slots * plan.most)

    def count_replicas(self) -> int | None:
        return self.running

    def close(self) -> None:
        pass


def attribute_by(session: str, models: Models, step: threading.Semaphore) -> Request:
    """A long request; its one step waits for `step`."""
    return Request("fla", picture(ord(session)), Stepped(1, step), session)


def count_running_long(backend: QueueBackend) -> int:
    return sum(one.request.op.long for one in list(backend._running))


@pytest.mark.parametrize(("running", "long"), [(None, 1), (0, 1), (1, 1), (2, 1), (3, 2), (4, 3), (9, 3)])
def test_one_place_of_the_replicas_that_run_is_left_to_predictions(
    models: Models, running: int | None, long: int
) -> None:
    replicas = Replicas(models, ReplicaPlan(most=4), running)
    backend = RayBackend(replicas, Capacity(workers=4))  # type: ignore[arg-type]
    step = threading.Semaphore(0)
    answers = [backend.submit(attribute_by(session, models, step)) for session in "abcde"]
    until(lambda: count_running_long(backend) == long)
    assert label(backend.submit(ask(9, "quick"))) == 9
    assert count_running_long(backend) == long
    for _ in answers:
        step.release()
    assert all(isinstance(one.result(PATIENCE), Result) for one in answers)
    backend.close()


def test_a_replica_that_has_started_is_used_though_nothing_else_happens(models: Models) -> None:
    replicas = Replicas(models, ReplicaPlan(most=4), 2)
    backend = RayBackend(replicas, Capacity(workers=4))  # type: ignore[arg-type]
    step = threading.Semaphore(0)
    answers = [backend.submit(attribute_by(session, models, step)) for session in "ab"]
    until(lambda: count_running_long(backend) == 1)
    replicas.running = 3
    until(lambda: count_running_long(backend) == 2)
    for _ in answers:
        step.release()
    backend.close()


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
@pytest.mark.parametrize("running", [1, 2, 3, 7])
def test_long_computations_alone_make_a_cluster_grow(slots: int, running: int) -> None:
    """As Ray reckons: all that is under way, by what one replica should have."""
    most = max(1, running * slots - 1)  # what may be under way, as the test above has it
    assert math.ceil(most / ReplicaPlan(slots=slots).busy) > running
