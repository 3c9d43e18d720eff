"""The backend on a real local Ray cluster, against the same contract as the threads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import backend_contract as contract
import pytest
from backend_contract import Make

from segviz.engine import Capacity
from segviz.engine.queue_backend import QueueBackend

pytest.importorskip("ray", reason="Ray is not installed; pip install 'segviz[ray]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    from ray_models import ProxySource, RemotelyUsed, python_path, serve_models

    from segviz.engine.ray_cluster.cluster import ReplicaPlan, connect, disconnect
    from segviz.engine.ray_cluster.ray_backend import RayBackend
    from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
CHECKS = [getattr(contract, name) for name in dir(contract) if name.startswith("check_")]
SLOTS = (1, 2, 4)  # of the contract's capacities


class Cluster:
    """A local cluster whose replicas are started once for each number of slots."""

    def __init__(self, port: int) -> None:
        self.port, self.runners = port, dict[int, RemoteRunner]()
        connect("local", ReplicaPlan(cpus=2.0))

    def make(self, kind: type[QueueBackend]) -> Make:
        def backend(models: contract.Models, capacity: Capacity) -> QueueBackend:
            runner = self.runner(capacity.workers)
            runner.source = ProxySource(models, self.port)
            return kind(runner, capacity)

        return backend

    def runner(self, slots: int) -> RemoteRunner:
        if slots not in self.runners:
            self.runners[slots] = RemoteRunner("local", ReplicaPlan(slots=slots, cpus=0.0), name=f"segviz-{slots}")
        return self.runners[slots]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with serve_models() as port, python_path():
        RemotelyUsed.port = port
        made = Cluster(port)
        for slots in SLOTS:
            made.runner(slots).start()
        yield made
        disconnect("local")


@pytest.fixture
def make(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(contract, "Models", RemotelyUsed)
    made: list[QueueBackend] = []
    inner = cluster.make(RayBackend)

    def backend(models: contract.Models, capacity: Capacity) -> QueueBackend:
        made.append(inner(models, capacity))
        return made[-1]

    yield backend
    for one in made:
        QueueBackend.close(one)  # the replicas serve the next test


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_backend_on_a_cluster_keeps_the_contract(check: Callable[[Make], None], make: Any) -> None:
    check(make)
