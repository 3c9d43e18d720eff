"""The app's end of the connection to a cluster: a bridge that sends nonsense, and one that cannot start; no Ray."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segviz.cluster import link
from segviz.cluster.link import BridgeLink
from segviz.cluster.messages import Lost, RunTask
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.engine.errors import ClusterError
from segviz.engine.ray_cluster import remote_runner
from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ray's clusters are for Linux and macOS here")
PATIENCE = 60
SENDS_NO_PICKLE = """
import os, struct, sys, time
read = b""
while b"ticket" not in read:
    read += os.read(int(sys.argv[1]), 2**16)
os.write(int(sys.argv[1]), struct.pack("!QQ", 1, 3) + b"bad")
time.sleep(600)
"""


def start(descriptor: int, environment: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SENDS_NO_PICKLE, str(descriptor)],
        pass_fds=[descriptor], stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_an_answer_that_cannot_be_read_ends_the_link_and_its_calls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "start_bridge", start)
    own = BridgeLink("local", ReplicaPlan(), "test", {})
    call = own.call(RunTask("ticket", b"", None, 1.0, False))
    assert call.wait(PATIENCE) and isinstance(call.outcome, Lost)
    assert not own.alive and own._process.poll() is not None and not Path(own._folder.name).exists()
    assert "what the bridge sent could not be read" in caplog.text


def test_a_bridge_that_cannot_be_started_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[float] = []

    def refuse(*_: object) -> None:
        tries.append(time.monotonic())
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(remote_runner, "BridgeLink", refuse)
    monkeypatch.setattr(remote_runner, "PAUSE_S", 0.01)
    runner = RemoteRunner("local", ReplicaPlan())
    with caplog.at_level(logging.WARNING):
        runner.connect()
        end = time.monotonic() + PATIENCE
        while len(tries) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(ClusterError, match="cannot be started"):
            runner.start()
        runner.close()
    assert len(tries) >= 3 and caplog.text.count("Cannot allocate memory") == 1
