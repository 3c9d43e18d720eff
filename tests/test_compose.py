"""compose.yaml: Ray's ports are internal and need a token; its commands, started here without containers, answer."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
import yaml
from ray_nodes import QUICK

from segviz.benchmarks.viewer import find_free_port
from segviz.catalogue.location import bundled_path
from segviz.data.scenes import draw_scene
from segviz.engine import digest
from segviz.prediction.predictor import load_predictor

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("worker-1", "worker-2")
PATIENCE = 120.0
# What the app's process does, on the standard input and output: a line is a scene's seed, and gives a digest of labels.
ENGINE = """
import json, sys
from segviz.data.scenes import draw_scene
from segviz.engine import Predict, digest, engine
for number, line in enumerate(sys.stdin):
    for attempt in range(1 if number else 4):
        try:
            labels = engine().ask("fla", draw_scene(seed=int(line)).image, Predict()).result().value.labels
            break
        except Exception as error:  # only the first question meets a cold cluster on a busy machine
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            labels = None
    print(json.dumps(labels is not None and digest(labels)), flush=True)
"""


def test_only_the_app_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"app": ["127.0.0.1:8501:8501"]}
    assert not any("expose" in service or "network_mode" in service for service in SERVICES.values())
    assert COMPOSE["networks"]["cluster"]["internal"] is True
    assert {name for name, service in SERVICES.items() if set(service["networks"]) != {"cluster"}} == {"app"}


def test_every_node_asks_for_the_token_of_a_file_and_sends_no_statistics() -> None:
    (secret,) = COMPOSE["secrets"]
    assert set(COMPOSE["secrets"][secret]) == {"file"}
    assert Path(COMPOSE["secrets"][secret]["file"]).name in (ROOT / ".gitignore").read_text().replace("/", "").split()
    for service in SERVICES.values():
        assert service["secrets"] == [secret]
        environment = service["environment"]
        assert environment["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" not in environment
        assert environment["RAY_AUTH_TOKEN_PATH"] == f"/run/secrets/{secret}"
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_every_service_is_bounded_and_has_no_rights() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name, service in SERVICES.items():
        assert service["user"] == re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)[0]
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        assert megabytes(service["mem_limit"]) <= 3072
        stored = int(re.findall(r"--object-store-memory=(\d+)", text_of(service))[0])
        assert stored < megabytes(service["shm_size"]) * 1024**2
        assert service["build"]["args"] == {"EXTRAS": "ray"} and "ARG EXTRAS" in dockerfile
        assert "healthcheck" in service or name == "app"  # its own is the image's
    assert SERVICES["app"]["environment"]["SEGVIZ_BACKEND"] == "ray"
    assert "--dashboard-host" not in json.dumps(COMPOSE)


def test_each_node_names_its_own_address_and_the_head_s() -> None:
    (head,) = (service for service in SERVICES.values() if "--head" in text_of(service))
    address = f"{head['networks']['cluster']['ipv4_address']}:6379"
    for service in SERVICES.values():
        assert f"--node-ip-address={service['networks']['cluster']['ipv4_address']}" in text_of(service)
        assert service is head or f"--address={address}" in text_of(service)
    assert SERVICES["app"]["environment"]["SEGVIZ_RAY_ADDRESS"] == address
    host, _, port = address.partition(":")
    assert f"{(host, int(port))}" in " ".join(head["healthcheck"]["test"])
    for name in WORKERS:
        (port,) = re.findall(r"'127\.0\.0\.1', (\d+)\)", SERVICES[name]["healthcheck"]["test"][-1])
        assert f"--node-manager-port={port}" in text_of(SERVICES[name])


def test_the_app_s_server_is_started_as_in_the_image() -> None:
    (command,) = re.findall(r"^CMD (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert text_of(SERVICES["app"]).endswith(f"& exec {shlex.join(json.loads(command))}")


def node_of_app() -> list[str]:
    """The command of the app's node, which is started again wherever it ends."""
    (found,) = re.findall(r"^\(while :; do (.*); sleep 3; done\) & exec ", SERVICES["app"]["command"][2])
    return shlex.split(found)


def megabytes(text: str) -> int:
    return int(text[:-1]) * {"m": 1, "g": 1024}[text[-1]]


def text_of(service: dict[str, Any]) -> str:
    return " ".join(service["command"])


@dataclass
class Nodes:
    """The file's services as processes of this machine: addresses are those of loopback, ports are free ones."""

    folder: Path
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.head = str(find_free_port())
        self.ports = {name: str(find_free_port()) for name in SERVICES}
        token = self.folder / "ray_token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))

    def here(self, name: str, text: str) -> str:
        """A service's text with this machine's addresses, ports and files."""
        changed = text.replace("10.23.0.", "127.0.23.").replace("6379", self.head).replace("6380", self.ports[name])
        return changed.replace("/run/secrets", str(self.folder)).replace("/app", str(ROOT))

    def environment(self, name: str) -> dict[str, str]:
        libraries = os.environ.get("PYTHONPATH", "")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "SEGVIZ_"))}
        own = {key: self.here(name, value) for key, value in SERVICES[name]["environment"].items()}
        own["PYTHONPATH"] = os.pathsep.join(part for part in (own["PYTHONPATH"], libraries) if part)
        return kept | own | {"OMP_NUM_THREADS": "1", **QUICK}

    def command(self, name: str, arguments: list[str]) -> list[str]:
        """A command of the file, with a folder of its own; two nodes on one machine share no range of ports."""
        program, *rest = (self.here(name, part) for part in arguments)
        assert program == "python"
        if rest[:2] == ["-m", "segviz.cluster.run_node"]:
            rest += [f"--temp-dir={self.folder / name}", "--min-worker-port=0", "--max-worker-port=0"]
        return [sys.executable, *rest]

    def start(self, name: str, arguments: list[str]) -> None:
        self.running[name] = subprocess.Popen(
            self.command(name, arguments),
            cwd=ROOT,
            env=self.environment(name),
            stdin=subprocess.PIPE,
            stdout=(self.folder / f"{name}.log").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def wait_until_healthy(self, name: str) -> None:
        marker, *check = SERVICES[name]["healthcheck"]["test"]
        assert marker == "CMD"
        end = time.monotonic() + PATIENCE
        while subprocess.run(
            self.command(name, check), env=self.environment(name), capture_output=True, timeout=60
        ).returncode:
            assert time.monotonic() < end and self.running[name].poll() is None, self.log(name)
            time.sleep(1)

    def ended(self, name: str) -> int:
        """The status of a service that ends, with all that it has started."""
        processes = self.processes(name)
        status = self.running[name].wait(PATIENCE)
        assert psutil.wait_procs(processes, 10)[1] == []
        return status

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def processes(self, name: str) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.running[name].pid)
            return [*root.children(recursive=True), root]
        return []

    def kill(self, name: str) -> None:
        for process in self.processes(name):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.running.pop(name).wait(10)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
    if sys.platform != "linux":
        pytest.skip("several loopback addresses are Linux's")
    with TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:  # a socket's path is short
        made = Nodes(Path(folder))
        yield made
        for name in list(made.running):
            made.kill(name)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_the_services_commands_answer_a_picture_and_again_when_a_worker_is_lost(nodes: Nodes) -> None:
    with engine_of(nodes) as ask:  # it imports what it needs meanwhile
        nodes.start("head", SERVICES["head"]["command"])
        nodes.wait_until_healthy("head")
        nodes.start("app", node_of_app())
        for name in WORKERS:
            nodes.start(name, SERVICES[name]["command"])
        for name in WORKERS:
            nodes.wait_until_healthy(name)
        assert ask(3) == expected(3)
        assert [replicas(nodes, name) for name in WORKERS] == [1, 1]
        (raylet,) = (one for one in nodes.processes(WORKERS[0]) if one.name() == "raylet")
        raylet.kill()
        assert ask(4) == expected(4)
        assert nodes.ended(WORKERS[0]) == 1  # so that its service is started again
    nodes.running["app"].terminate()
    assert nodes.ended("app") == 0


@contextmanager
def engine_of(nodes: Nodes) -> Iterator[Callable[[int], str]]:
    """An engine in a process of its own, with the settings of the app's service."""
    log = nodes.folder / "engine.log"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ENGINE],
        cwd=ROOT,
        env=nodes.environment("app"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log.open("w"),
        start_new_session=True,
        text=True,
    )
    nodes.running["engine"] = process
    assert process.stdin is not None and process.stdout is not None

    def ask(seed: int) -> str:
        process.stdin.write(f"{seed}\n")
        process.stdin.flush()
        for line in process.stdout:
            if re.fullmatch(r'"[0-9a-f]{64}"|false', line.strip()):
                found = json.loads(line)
                assert found, nodes.log("engine")
                return str(found)
        raise AssertionError(nodes.log("engine"))

    yield ask


def expected(seed: int) -> str:
    """The digest of what this process answers."""
    return digest(load_predictor(bundled_path("fla"))(draw_scene(seed=seed).image).labels)


def replicas(nodes: Nodes, name: str) -> int:
    """How many replicas run on a node."""
    return sum("ServeReplica" in " ".join(process.cmdline()) for process in nodes.processes(name))
