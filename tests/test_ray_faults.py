"""What happens to answers when replicas fail, or what connects the app with them."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import backend_contract as contract
import psutil
import pytest

from segviz.engine import Capacity, CrashError, DeadlineError
from segviz.engine.queue_backend import QueueBackend

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    from ray_models import ProxySource, RemotelyUsed, let_go, python_path, serve_models

    from segviz.cluster.replica import Replica
    from segviz.cluster.replica_plan import ReplicaPlan
    from segviz.engine.ray_cluster.ray_backend import RayBackend
    from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
PLAN = ReplicaPlan(slots=2, grace_s=1.0, health_s=1.0)
ENOUGH_S = 90.0  # for a new replica on a busy machine


@pytest.fixture(scope="module")
def runner() -> Iterator[RemoteRunner]:
    with serve_models() as port, python_path():
        RemotelyUsed.port = port
        made = RemoteRunner("local", PLAN, ProxySource(RemotelyUsed(), port))
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def models(runner: RemoteRunner) -> RemotelyUsed:
    found = RemotelyUsed()
    runner.source = ProxySource(found, RemotelyUsed.port)
    return found


@pytest.fixture
def backend(runner: RemoteRunner, models: RemotelyUsed) -> Iterator[RayBackend]:
    made = RayBackend(runner, Capacity(workers=2))
    until(lambda: made.health().replicas == 1)
    yield made
    let_go()
    QueueBackend.close(made)  # the replicas serve the next test


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def replica_processes() -> list[psutil.Process]:
    """The replicas among the processes that the tests' process has started."""
    return [one for one in psutil.Process().children(recursive=True) if "ServeReplica" in one.name()]


def kill_replicas() -> None:
    """End all replicas at once, as the kernel does where memory runs out."""
    for process in replica_processes():
        process.kill()


def test_a_replica_that_is_killed_in_the_middle_costs_one_more_attempt(
    models: RemotelyUsed, backend: RayBackend
) -> None:
    with models.held():
        answer = backend.submit(contract.ask(1, deadline_s=ENOUGH_S))
        contract.until(lambda: models.running == 1)
        kill_replicas()
        until(lambda: answer.status().attempt == 2)
    assert answer.result(ENOUGH_S).value.labels[0, 0] == 1
    assert models.values() == [1, 1]
    assert backend.health().counts["lost"] == 1


def test_a_computation_that_ends_every_replica_is_tried_twice_and_the_next_is_answered(
    models: RemotelyUsed, backend: RayBackend
) -> None:
    models.misdeeds = {1: lambda shrink: kill_replicas()}
    error = backend.submit(contract.ask(1, deadline_s=ENOUGH_S)).exception(ENOUGH_S)
    assert isinstance(error, CrashError)
    assert models.values() == [1, 1]
    assert backend.submit(contract.ask(2, deadline_s=ENOUGH_S)).result(ENOUGH_S).value.labels[0, 0] == 2


def test_a_replica_that_hangs_is_replaced_and_the_answer_is_refused_in_time(
    models: RemotelyUsed, backend: RayBackend
) -> None:
    before = replica_processes()
    with models.held():
        answer = backend.submit(contract.ask(1, deadline_s=1.0))
        assert isinstance(answer.exception(5), DeadlineError)
        until(lambda: not any(one.is_running() for one in before))
    assert backend.submit(contract.ask(2, deadline_s=ENOUGH_S)).result(ENOUGH_S).value.labels[0, 0] == 2
    assert models.values() == [1, 2], "nobody waited for a second attempt"


def test_a_process_that_is_stopped_counts_as_lost(models: RemotelyUsed, backend: RayBackend) -> None:
    stopped = replica_processes()
    try:
        with models.held():
            answer = backend.submit(contract.ask(3, deadline_s=ENOUGH_S))
            contract.until(lambda: models.running == 1)
            for process in stopped:
                process.suspend()
            until(lambda: answer.status().attempt == 2)
        assert answer.result(ENOUGH_S).value.labels[0, 0] == 3
    finally:
        for process in stopped:
            if process.is_running():
                process.kill()


def test_a_bridge_that_is_killed_is_started_again(
    runner: RemoteRunner, models: RemotelyUsed, backend: RayBackend
) -> None:
    """A local cluster ends with it, and nothing of it stays behind."""
    bridge = next(one for one in psutil.Process().children() if "segviz.cluster.bridge" in one.cmdline())
    before = [bridge, *bridge.children(recursive=True)]
    with models.held():
        answer = backend.submit(contract.ask(4, deadline_s=ENOUGH_S))
        contract.until(lambda: models.running == 1)
        os.kill(bridge.pid, signal.SIGKILL)
        until(lambda: answer.status().attempt == 2)
        assert backend.health().replicas == 0
    assert answer.result(ENOUGH_S).value.labels[0, 0] == 4
    until(lambda: not any(one.is_running() for one in before))


def test_a_replica_with_another_version_of_segviz_does_not_start() -> None:
    with pytest.raises(RuntimeError, match=r"has segviz .*, and the app's has 0\.0\.0; install the same on all"):
        Replica(PLAN, None, "", "0.0.0")


def test_no_answer_is_wrong_or_lost_while_replicas_are_killed(models: RemotelyUsed, backend: RayBackend) -> None:
    models.pause = 0.05
    chance = random.Random(0)
    ended = threading.Event()

    def kill_now_and_then() -> None:
        while not ended.wait(chance.uniform(3.0, 5.0)):
            kill_replicas()

    threading.Thread(target=kill_now_and_then, daemon=True).start()
    answers = {
        value: backend.submit(contract.ask(value, f"session {value}", deadline_s=ENOUGH_S)) for value in range(40)
    }
    end = time.monotonic() + 12
    while time.monotonic() < end:
        time.sleep(0.1)
    ended.set()
    errors = [answer.exception(ENOUGH_S) for answer in answers.values()]
    assert errors.count(None) >= len(errors) // 2
    for value, answer in answers.items():
        error = answer.exception(ENOUGH_S)
        assert isinstance(error, CrashError) if error is not None else answer.result().value.labels[0, 0] == value
    assert max(models.values().count(value) for value in answers) <= 2
