"""Machines of a Ray cluster, each a group of processes on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

HEAD, WORKER = "127.0.0.31", "127.0.0.32"  # of loopback; Ray takes 127.0.0.1 for the machine's own address
STORE_BYTES = 100_000_000
START_WITHIN_S = 120.0
QUICK = {
    "RAY_worker_niceness": "0",  # Ray's 15 costs minutes beside other tests
    "RAY_prestart_worker_first_driver": "0",  # workers that nobody needs
    "RAY_health_check_period_ms": "1000",  # a killed machine is noticed after five of these; Ray's 3 s make that 15
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HEAD, 0))
        return int(one.getsockname()[1])


class RayNode:
    """A head, or a machine that joins it, started as an operator does. It has its own folder for Ray's files.

    Args:
        token_file: of the cluster.
        port: of the head.
        cpus: what Ray may reserve there.
        head: whether it is the head.
    """

    def __init__(self, token_file: Path, port: int, cpus: int, head: bool = False) -> None:
        self.folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets need a short name
        place = ["--head", f"--port={port}", f"--temp-dir={self.folder}"] if head else [f"--address={HEAD}:{port}"]
        command = [
            sys.executable, "-m", "segviz.cluster.run_node", *place, f"--num-cpus={cpus}", "--disable-usage-stats",
            f"--node-ip-address={HEAD if head else WORKER}", f"--object-store-memory={STORE_BYTES}",
        ]  # fmt: skip
        with self.log.open("w") as log:
            self.running = subprocess.Popen(
                command, env=node_environment(token_file), stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> Path:
        """What it says."""
        return Path(self.folder) / "log"

    def wait_until_started(self) -> None:
        """Wait until it has joined the cluster."""
        end = time.monotonic() + START_WITHIN_S
        while "Ray runtime started" not in (said := self.log.read_text()):
            assert self.running.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)

    @property
    def processes(self) -> list[psutil.Process]:
        """All of its processes, replicas among them."""
        found = []
        for one in psutil.process_iter():
            try:
                if os.getsid(one.pid) == self.running.pid:
                    found.append(one)
            except OSError:
                continue
        return found

    def kill(self) -> None:
        """Switch the machine off."""
        for one in self.processes:
            one.kill()
        self.running.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def node_environment(token_file: Path) -> dict[str, str]:
    """The variables of a machine, and of an app that joins."""
    return {**os.environ, **QUICK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}
