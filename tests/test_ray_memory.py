"""What Ray ends because its machine is short of memory: two attempts, then a sentence that says so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import backend_contract as contract
import pytest

from segviz.engine import Capacity, CrashError
from segviz.settings import MIB

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    from ray._private.utils import get_system_memory, get_used_memory
    from ray_models import ProxySource, RemotelyUsed, python_path, serve_models

    from segviz.cluster.replica_plan import ReplicaPlan
    from segviz.engine.ray_cluster.ray_backend import RayBackend
    from segviz.engine.ray_cluster.remote_runner import RemoteRunner

# Memory that another worker's tests take meanwhile would bring the monitor forward.
pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
MARGIN_MIB = 3072  # beyond what is in use now, of which a cluster takes 1,200; then Ray's memory monitor ends a process
BURDEN_MIB = MARGIN_MIB + 1024
ENOUGH_S = 120.0


@pytest.fixture
def models() -> RemotelyUsed:
    found = RemotelyUsed()
    found.burden = {5: BURDEN_MIB}
    return found


@pytest.fixture
def backend(models: RemotelyUsed, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayBackend]:
    """The engine on a cluster whose memory monitor acts early."""
    share = (get_used_memory() + MARGIN_MIB * MIB) / get_system_memory()
    if share > 0.9:
        pytest.skip(f"this machine has less than {BURDEN_MIB} MiB of memory free")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{share:.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    with serve_models() as port, python_path():
        RemotelyUsed.port = port
        runner = RemoteRunner("local", ReplicaPlan(grace_s=1.0, health_s=1.0), ProxySource(models, port))
        try:
            runner.start()
            made = RayBackend(runner, Capacity(workers=1))
            yield made
            made.close()
        finally:
            runner.close()


def test_what_ray_ends_twice_for_memory_says_so(models: RemotelyUsed, backend: RayBackend) -> None:
    error = backend.submit(contract.ask(5, deadline_s=ENOUGH_S)).exception(ENOUGH_S)
    assert isinstance(error, CrashError)
    assert "was ended 2 times on this picture, because a machine of the cluster was short of memory" in str(error)
    assert models.values() == [5, 5]
