"""What happens to answers when machines of a cluster go, its head is started anew, or the app is killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import backend_contract as contract
import psutil
import pytest

from segviz.engine import Capacity
from segviz.server.metrics import describe_health

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    from ray_models import ProxySource, RemotelyUsed, let_go, python_path, serve_models
    from ray_nodes import HEAD, RayNode, free_port, node_environment

    from segviz.cluster.replica_plan import ReplicaPlan
    from segviz.engine.ray_cluster import remote_runner
    from segviz.engine.ray_cluster.ray_backend import RayBackend
    from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
PLAN = ReplicaPlan(health_s=1.0, silent_s=8.0)
ENOUGH_S = 150.0  # for a new cluster on a busy machine
APP = """
import sys
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.engine.ray_cluster.remote_runner import RemoteRunner
RemoteRunner(sys.argv[1], ReplicaPlan(health_s=1.0)).start()
print("started", flush=True)
sys.stdin.read()
"""


class Machines:
    """A head, which runs no replica, and one machine for replicas."""

    def __init__(self, token_file: Path) -> None:
        self.token_file, self.port = token_file, free_port()
        self.address = f"{HEAD}:{self.port}"
        self.start()

    def start(self) -> None:
        """Switch both on."""
        self.head = RayNode(self.token_file, self.port, 0, head=True)
        self.start_worker()
        self.head.wait_until_started()

    def start_worker(self) -> None:
        self.worker = RayNode(self.token_file, self.port, 1)

    @property
    def replicas(self) -> int:
        return sum("ServeReplica" in one.name() for one in self.worker.processes)

    def kill(self) -> None:
        self.worker.kill()
        self.head.kill()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    token_file = tmp_path_factory.mktemp("ray") / "token"
    token_file.write_text(secrets.token_hex(32))
    with serve_models() as port, python_path():
        RemotelyUsed.port = port
        made = Machines(token_file)
        yield made
        made.kill()


@pytest.fixture(scope="module")
def runner(machines: Machines) -> Iterator[RemoteRunner]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in node_environment(machines.token_file).items():
            patch.setenv(name, value)
        patch.setattr(remote_runner, "DEADLINE_S", ENOUGH_S)  # a cluster takes longer to start on a busy machine
        made = RemoteRunner(machines.address, PLAN)
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def models(runner: RemoteRunner) -> Iterator[RemotelyUsed]:
    found = RemotelyUsed()
    runner.source = ProxySource(found, RemotelyUsed.port)
    yield found
    let_go()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def test_the_replicas_of_an_app_that_was_killed_end(machines: Machines) -> None:
    app = subprocess.Popen(
        [sys.executable, "-c", APP, machines.address], env=node_environment(machines.token_file),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert app.stdin and app.stdout
    with app.stdin, app.stdout:
        assert app.stdout.readline() == "started\n"
        until(lambda: machines.replicas == 1)
        for process in app_and_bridge(app.pid):
            os.kill(process, signal.SIGKILL)
        app.wait()
        until(lambda: machines.replicas == 0)


def app_and_bridge(pid: int) -> list[int]:
    """An app's process and its bridge."""
    app = psutil.Process(pid)
    return [pid, *(one.pid for one in app.children())]


def test_a_machine_goes_and_another_answers(machines: Machines, runner: RemoteRunner, models: RemotelyUsed) -> None:
    backend = RayBackend(runner, Capacity(workers=1))
    with models.held():
        answer = backend.submit(contract.ask(1, deadline_s=ENOUGH_S))
        until(lambda: models.running == 1)
        machines.worker.kill()
        until(lambda: answer.status().replicas == 0)
        assert "no replica runs" in str(describe_health(backend.health()))
        machines.start_worker()
    assert answer.result(ENOUGH_S).value.labels[0, 0] == 1
    assert models.values() == [1, 1]
    until(lambda: describe_health(backend.health()) is None)


def test_the_head_is_started_anew(machines: Machines, runner: RemoteRunner, models: RemotelyUsed) -> None:
    """What ran is tried once more in the new cluster; the app stays up meanwhile and says that no replica runs."""
    backend = RayBackend(runner, Capacity(workers=1))
    with models.held():
        answer = backend.submit(contract.ask(2, deadline_s=ENOUGH_S))
        until(lambda: models.running == 1)
        machines.kill()
        until(lambda: answer.status().replicas == 0)
        machines.start()
    assert answer.result(ENOUGH_S).value.labels[0, 0] == 2
    assert models.values() == [2, 2]
    assert contract.label(backend.submit(contract.ask(3))) == 3
