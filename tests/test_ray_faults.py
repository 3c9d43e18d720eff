"""What happens to answers when replicas, or the cluster, fail."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Iterator

import backend_contract as contract
import pytest

from segviz.engine import Capacity, DeadlineError
from segviz.engine.queue_backend import QueueBackend

pytest.importorskip("ray", reason="Ray is not installed; pip install 'segviz[ray]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray_models import ProxySource, RemotelyUsed, python_path, serve_models

    from segviz.cluster.replica_plan import ReplicaPlan, disconnect
    from segviz.engine.ray_cluster.ray_backend import RayBackend
    from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
PLAN = ReplicaPlan(slots=1, cpus=0.5, grace_s=2.0)
ONE = Capacity(workers=1)


@pytest.fixture(scope="module")
def runner() -> Iterator[RemoteRunner]:
    with serve_models() as port, python_path():
        RemotelyUsed.port = port
        made = RemoteRunner("local", PLAN, ProxySource(RemotelyUsed(), port))
        made.start()
        yield made
        disconnect("local")


@pytest.fixture
def models(runner: RemoteRunner) -> RemotelyUsed:
    found = RemotelyUsed()
    runner.source = ProxySource(found, RemotelyUsed.port)
    return found


@pytest.fixture
def backend(runner: RemoteRunner, models: RemotelyUsed) -> Iterator[RayBackend]:
    made = RayBackend(runner, ONE)
    yield made
    QueueBackend.close(made)


def replica_process(runner: RemoteRunner) -> int:
    return int(runner.start().handle.state.remote().result(timeout_s=60).process)


def test_a_replica_that_is_killed_in_the_middle_costs_one_more_attempt(
    runner: RemoteRunner, models: RemotelyUsed, backend: RayBackend
) -> None:
    process = replica_process(runner)
    with models.held():
        answer = backend.submit(contract.ask(1))
        contract.until(lambda: models.running == 1)
        os.kill(process, signal.SIGKILL)
        end = time.monotonic() + 60
        while answer.status().attempt == 1:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert answer.result(60).value.labels[0, 0] == 1
    assert backend.health().counts["crashed"] == 1
    assert replica_process(runner) != process


def test_a_replica_that_hangs_is_replaced_and_the_answer_is_refused_in_time(
    runner: RemoteRunner, models: RemotelyUsed, backend: RayBackend
) -> None:
    process = replica_process(runner)
    with models.held():
        answer = backend.submit(contract.ask(1, deadline_s=1.0))
        assert isinstance(answer.exception(5), DeadlineError)
        end = time.monotonic() + 90
        while replica_process_or_none(runner) in (None, process):
            assert time.monotonic() < end, "the replica was not replaced"
            time.sleep(0.5)
    assert contract.label(backend.submit(contract.ask(2))) == 2


def replica_process_or_none(runner: RemoteRunner) -> int | None:
    try:
        return int(runner.start().handle.state.remote().result(timeout_s=2).process)
    except Exception:
        return None


def test_a_stopped_process_counts_as_lost(runner: RemoteRunner, models: RemotelyUsed, backend: RayBackend) -> None:
    process = replica_process(runner)
    with models.held():
        answer = backend.submit(contract.ask(3))
        contract.until(lambda: models.running == 1)
        os.kill(process, signal.SIGSTOP)
        end = time.monotonic() + 90
        while answer.status().attempt == 1:
            assert time.monotonic() < end
            time.sleep(0.1)
    assert answer.result(60).value.labels[0, 0] == 3
