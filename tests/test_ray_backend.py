"""The backend on a real local Ray cluster: the same contract as the threads', and the same faults are found out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import backend_contract as contract
import numpy as np
import psutil
import pytest
from backend_contract import Make, Models
from faulty_backends import (
    BAD,
    PLANTED,
    Fault,
    Patch,
    find_out,
    protect_nothing,
    report_only,
    run_and_leak,
    stop_nothing,
)
from own_networks import NET
from streets import street
from test_engine import put_model

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine import Capacity, Engine, Result, Runner, ThreadBackend
from segviz.engine.queue_backend import QueueBackend
from segviz.engine.result_cache import arrays_of
from segviz.runtime.malloc import MALLOC_ENVIRONMENT

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    from ray_models import ProxySource, RemotelyUsed, let_go, python_path, serve_models

    from segviz.cluster.replica_plan import ReplicaPlan
    from segviz.engine.ray_cluster.portable_model import FileModels
    from segviz.engine.ray_cluster.ray_backend import RayBackend
    from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
CHECKS = [getattr(contract, name) for name in dir(contract) if name.startswith("check_")]
PLAN = ReplicaPlan(slots=4)  # as many as the contract has workers at most: what bounds the others is the queue
ONE = Capacity(workers=1)
PATIENCE = 4.0  # seconds for what a faulty backend never does; a sound one takes tenths
MOST_MB = 1500
OWN = "net"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteRunner]:
    """A local cluster with one replica, which serves all tests."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(NET)
    (folder / "models.toml").write_text(f'[[model]]\nname = "{OWN}"\nsource = "net.py:build"\n')
    with serve_models() as port, python_path(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGVIZ_MODELS", str(folder / "models.toml"))
        for name, value in MALLOC_ENVIRONMENT.items():  # as the app's process has, and so its bridge
            patch.setenv(name, value)
        RemotelyUsed.port = port
        made = RemoteRunner("local", PLAN, ProxySource(RemotelyUsed(), port))
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def maker(runner: RemoteRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Make]]:
    """Backends of a kind, with faults where the models run; closed in the end."""
    monkeypatch.setattr(contract, "Models", RemotelyUsed)
    monkeypatch.setattr(contract, "MEANWHILE", 1.0)
    monkeypatch.setattr(contract, "TURNS", 6)
    made: list[QueueBackend] = []

    def of(kind: type[QueueBackend], there: tuple[Patch, ...] = ()) -> Make:
        if there:  # from a first request on
            runner.source = ProxySource(RemotelyUsed(), RemotelyUsed.port, there)
            runner.run(contract.ask(0), 64 * contract.MIB, lambda done, total: None)

        def make(models: Models, capacity: Capacity) -> QueueBackend:
            runner.source = ProxySource(models, RemotelyUsed.port, there)
            made.append(kind(runner, capacity))
            return made[-1]

        return make

    yield of
    let_go()
    for backend in made:
        QueueBackend.close(backend)  # the replica serves the next test


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_backend_on_a_cluster_keeps_the_contract(check: Callable[[Make], None], maker: Any) -> None:
    check(maker(RayBackend))


def test_a_replica_computes_no_more_at_once_than_it_has_slots(maker: Any) -> None:
    """Also where the queue lets more go."""
    models = RemotelyUsed()
    models.pause = 0.2
    backend = maker(RayBackend)(models, Capacity(workers=2 * PLAN.slots))
    answers = [backend.submit(contract.ask(value, f"session {value}")) for value in range(3 * PLAN.slots)]
    assert [contract.label(one) for one in answers] == list(range(3 * PLAN.slots))
    assert models.most == PLAN.slots


# ---- real models ----------------------------------------------------------------------------------------


@pytest.fixture
def engines(runner: RemoteRunner) -> Iterator[tuple[Engine, Engine]]:
    """An engine on the cluster, and one on threads."""
    runner.source = FileModels()
    there, here = RayBackend(runner, ONE), ThreadBackend(Runner(), ONE)
    yield Engine(there), Engine(here)
    for backend in (there, here):
        QueueBackend.close(backend)


def assert_equal(there: Result, here: Result) -> None:
    """All arrays and notes are equal, to the last bit: the same code and weights, with as many threads."""
    pairs = list(zip(arrays_of(there.value), arrays_of(here.value), strict=True))
    assert len(pairs) >= 1 and there.model_sha == here.model_sha and there.notes == here.notes
    for (name, found), (other, wanted) in pairs:
        assert name == other
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted), name)


@pytest.mark.parametrize("name", ["psa", "snl", OWN])
def test_a_model_answers_on_a_cluster_as_on_threads(engines: tuple[Engine, Engine], name: str) -> None:
    image = street(3).image
    assert_equal(*(engine.ask(name, image).result() for engine in engines))


def test_a_checkpoint_that_was_replaced_answers_with_its_new_weights_and_a_damaged_one_is_named(
    engines: tuple[Engine, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica does not know the folder: the file's content travels to it."""
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    image, found = street(3).image, []
    for seed in (1, 2):
        _, sha = put_model(tmp_path, seed)
        found.append(engines[0].ask("fcn", image).result())
        assert found[-1].model_sha == sha
        assert_equal(found[-1], engines[1].ask("fcn", image).result())
    assert (found[0].value.labels != found[1].value.labels).any()
    path = tmp_path / "fcn.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"fcn\.safetensors"):
        engines[0].predict("fcn", image)
    path.write_bytes(whole)
    assert engines[0].ask("fcn", image).result() is found[1]


# ---- what must be found out -----------------------------------------------------------------------------

RUNNER, WORKER = "segviz.engine.runner", "segviz.engine.ray_cluster.replica_worker"
HERE, LINK = "segviz.engine.ray_cluster.remote_runner", "segviz.cluster.link:BridgeLink"
STOPS = "long_work_tells_its_steps_leaves_a_worker_and_stops_when_nobody_waits"
BAD_HERE = BAD | {
    "an_answer_cannot_be_written_to": Fault(  # protected in the replica, and again here
        BAD["an_answer_cannot_be_written_to"].found_at,
        here=(Patch(HERE, "protect", protect_nothing),),
        there=(Patch(RUNNER, "protect", protect_nothing),),
    ),
}
NEXT_IS_LET_ON = "until(lambda: long[1].status().position == 0)"
OF_REPLICAS = {  # what threads do not have
    "leaks": (
        "everyone_gets_their_own_answer",
        Fault("assert wrong == []", there=(Patch(f"{RUNNER}:Runner", "run", run_and_leak),)),
    ),
    "does not stop": (STOPS, Fault(NEXT_IS_LET_ON, there=(Patch(WORKER, "make_report", report_only),), waits=True)),
    "is not told to stop": (STOPS, Fault(NEXT_IS_LET_ON, here=(Patch(LINK, "stop", stop_nothing),), waits=True)),
}


@pytest.mark.parametrize("clause", BAD_HERE)
def test_a_backend_that_breaks_a_clause_is_found_out(clause: str, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check_found_out(clause, BAD_HERE[clause], maker, monkeypatch)


@pytest.mark.parametrize("what", OF_REPLICAS)
def test_a_replica_that_breaks_a_clause_is_found_out(what: str, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check_found_out(*OF_REPLICAS[what], maker, monkeypatch)


def check_found_out(clause: str, fault: Fault, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault.waits:
        monkeypatch.setattr(contract, "PATIENCE", PATIENCE)
    PLANTED.set(fault.here)
    try:
        found_at = find_out(clause, maker(fault.backend(RayBackend), fault.there))
    finally:
        PLANTED.set(())
    assert fault.found_at in found_at


# ---- what it takes, and leaves --------------------------------------------------------------------------


def processes() -> list[psutil.Process]:
    """Those of the cluster: all that this process has started, and theirs."""
    return psutil.Process().children(recursive=True)


def test_the_cluster_takes_at_most_1500_mb(runner: RemoteRunner) -> None:
    """Shared pages count in part; the libraries' are shared with this process and others that import torch."""
    shares = {f"{one.pid} {one.name()}": one.memory_full_info().pss / 1e6 for one in processes()}
    assert sum(shares.values()) < MOST_MB, shares


def test_the_cluster_is_closed_by_its_own_handle(runner: RemoteRunner) -> None:
    """The last test of this file: nothing runs on."""
    before = processes()
    assert len(before) > 5
    RayBackend(runner, Capacity()).close()
    _, left = psutil.wait_procs(before, timeout=20)
    assert left == [] and processes() == []
