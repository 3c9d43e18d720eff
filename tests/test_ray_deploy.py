"""What SECURITY.md says of Ray, on a real local cluster: who can reach its ports, and what they answer."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from segviz.cluster.replica_plan import ReplicaPlan
from segviz.data.scenes import draw_scene
from segviz.engine import Predict, Request
from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, of the libraries that it uses
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
    from ray.serve.generated import serve_pb2, serve_pb2_grpc

    from segviz.batch.ray_cluster import join_cluster
    from segviz.cluster.short_folder import make_short_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parents[1]
BUDGET = 2**31
PRIORITY = {"RAY_worker_niceness": "0"}  # Ray's 15 on a busy machine takes minutes
PARTS = {"gcs_server", "raylet", "DashboardAgent", "RuntimeEnvAgent", "ServeController", "Board", "ServeReplica"}


@dataclass(frozen=True)
class Local:
    """The processes of a local cluster, with the app's bridge, and the token that they have."""

    processes: list[psutil.Process]
    token: str

    def port(self, part: str) -> int:
        """The first port of a part; of a replica, that of Serve's own server."""
        (process,) = (one for one in self.processes if part in name_of(one))
        ports = [socket.laddr.port for socket in listening(process)]
        return ports[0] if part == "gcs_server" else next(port for port in ports if is_serve(port))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Local]:
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("RAY_")}
    os.environ.update(PRIORITY)
    runner = RemoteRunner("local", ReplicaPlan())
    try:
        runner.start()
        request = Request("fla", draw_scene(seed=3).image, Predict())
        runner.run(request, BUDGET, lambda done, total: None)  # replicas have all that they need
        found = psutil.Process().children(recursive=True)
        tokens = {variables(process).get("RAY_AUTH_TOKEN", "") for process in found}
        yield Local(found, max(tokens))
    finally:
        runner.close()
        for name in PRIORITY:
            del os.environ[name]
        os.environ.update(before)


def test_all_of_a_local_cluster_listens_on_loopback_only(cluster: Local) -> None:
    names = " ".join(name_of(process) for process in cluster.processes)
    assert {part for part in PARTS if part not in names} == set()
    assert sum(len(listening(process)) for process in cluster.processes) >= len(PARTS)
    assert exposed(cluster.processes) == []


def test_a_command_s_own_cluster_listens_on_loopback_only() -> None:
    with make_short_folder() as folder, join_cluster("local", folder):
        processes = psutil.Process().children(recursive=True)
        assert any("raylet" in name_of(process) for process in processes)
        assert exposed([psutil.Process(), *processes]) == []
        assert {variables(process).get("RAY_AUTH_MODE", "token") for process in processes} == {"token"}
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_local_cluster_has_a_token_of_its_own_in_no_file_and_in_no_command(cluster: Local) -> None:
    assert re.fullmatch("[0-9a-f]{64}", cluster.token)
    assert all(cluster.token not in " ".join(process.cmdline()) for process in cluster.processes)
    default = Path.home() / ".ray" / "auth_token"
    assert not default.is_file() or default.read_text().strip() != cluster.token
    assert cluster.token not in os.environ.values()
    told = [found for process in cluster.processes if (found := variables(process))]
    assert {found["RAY_AUTH_MODE"] for found in told} == {"token"}
    assert {found["RAY_USAGE_STATS_ENABLED"] for found in told} == {"0"}


@pytest.mark.parametrize("part", ["ProxyActor", "dashboard/dashboard.py", "monitor.py"])
def test_it_has_no_http_server_no_dashboard_and_no_monitors(part: str, cluster: Local) -> None:
    """See `segviz.cluster.few_processes`; "monitor.py" is the autoscaler's and the log monitor's."""
    assert not any(part in name_of(process) for process in cluster.processes)


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_the_head_refuses_whoever_lacks_the_token(cluster: Local, token: str | None) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        ask_head(cluster, token)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert ask_head(cluster, cluster.token) == 1


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_a_replica_unpickles_nothing_of_whoever_lacks_the_token(
    cluster: Local, token: str | None, tmp_path: Path
) -> None:
    trace = tmp_path / "unpickled"
    harmful = b"cos\nmkdir\n(V" + str(trace).encode() + b"\ntR."
    with pytest.raises(grpc.RpcError) as refused:
        ask_replica(cluster, harmful, token)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED and not trace.exists()
    with pytest.raises(grpc.RpcError):  # with the token it is run: that is what the token gives
        ask_replica(cluster, harmful, cluster.token)
    assert trace.exists()


def test_every_option_of_ray_that_the_page_and_the_file_name_exists() -> None:
    from ray.scripts.scripts import cli

    known = {
        name for command in ("start", "status", "health-check", "get-auth-token") for name in options_of(cli, command)
    }
    page = (ROOT / "docs" / "deploy.md").read_text()
    section = page[page.index("### A head and worker nodes") : page.index("### Long runs")]
    lines = [line for line in section.splitlines() if "ray start" in line or line.startswith("| ")]
    named = set(re.findall(r"--[a-z][a-z-]+", " ".join([*lines, (ROOT / "compose.yaml").read_text()])))
    assert len(named) > 12 and named <= known, named - known


def options_of(cli: Any, command: str) -> set[str]:
    return {name for option in cli.commands[command].params for name in option.opts}


def ask_head(cluster: Local, token: str | None) -> int:
    """The number of nodes, by the head's tables."""
    with grpc.insecure_channel(f"127.0.0.1:{cluster.port('gcs_server')}") as channel:
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        answer = stub.GetAllNodeInfo(gcs_service_pb2.GetAllNodeInfoRequest(), timeout=20, metadata=bearer(token))
        return len(answer.node_info_list)


def ask_replica(cluster: Local, pickled: bytes, token: str | None) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{cluster.port('ServeReplica')}") as channel:
        stub = serve_pb2_grpc.ASGIServiceStub(channel)
        stub.HandleRequest(serve_pb2.ASGIRequest(pickled_request_metadata=pickled), timeout=20, metadata=bearer(token))


def bearer(token: str | None) -> list[tuple[str, str]]:
    return [] if token is None else [("authorization", f"Bearer {token}")]


def is_serve(port: int) -> bool:
    """Whether Serve's server listens on a port: no other has its service."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            serve_pb2_grpc.ASGIServiceStub(channel).HandleRequest(serve_pb2.ASGIRequest(), timeout=20)
        except grpc.RpcError as error:
            return "authentication token" in error.details()
    return False


def name_of(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def variables(process: psutil.Process) -> dict[str, str]:
    """A process's variables; none where its title has taken their place."""
    found = process.environ()
    return found if "RAY_AUTH_MODE" in found else {}


def listening(process: psutil.Process) -> list[psutil._common.pconn]:
    """TCP sockets that listen, and all UDP sockets."""
    return [one for one in process.net_connections("inet") if one.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]


def exposed(processes: list[psutil.Process]) -> list[str]:
    """The addresses of sockets that others can reach, with their processes."""
    found = [(process, socket.laddr) for process in processes for socket in listening(process) if socket.laddr]
    return [f"{name_of(process)}: {address}" for process, address in found if not is_loopback(address.ip)]


def is_loopback(text: str) -> bool:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
