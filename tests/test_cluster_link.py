"""The app's end of the connection to a cluster: a bridge that sends nonsense, and one that cannot start; no Ray."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from segviz.cluster import link
from segviz.cluster.link import BridgeLink
from segviz.cluster.messages import Channel, Lost, RunTask
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.engine.errors import ClusterError
from segviz.engine.ray_cluster import remote_runner
from segviz.engine.ray_cluster.remote_runner import RemoteRunner

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ray's clusters are for Linux and macOS here")
PATIENCE = 60
READS = """
import os, pickle, struct, sys, time
from segviz.cluster.messages import Refused
read = b""
while b"ticket" not in read:
    read += os.read(int(sys.argv[1]), 2**16)
def send(body):
    os.write(int(sys.argv[1]), struct.pack("!QQ", 1, len(body)) + body)
"""
SENDS_NO_PICKLE = READS + "send(b'bad'); time.sleep(600)"
GIVES_UP = READS + "send(pickle.dumps(Refused('the cluster does not answer any more')))"


def running(code: str) -> Callable[[int, object], subprocess.Popen[str]]:
    """What starts a bridge of this code."""
    return lambda descriptor, environment: subprocess.Popen(
        [sys.executable, "-c", code, str(descriptor)],
        pass_fds=[descriptor], stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "begun"), [(READS, True), (GIVES_UP, False)], ids=["it dies", "it gives up"])
def test_what_a_bridge_has_not_told_of_as_it_gave_up_had_not_begun(
    code: str, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is sent again, and does not count as an attempt; where a bridge just dies, nobody knows."""
    monkeypatch.setattr(link, "start_bridge", running(code))
    call = BridgeLink("local", ReplicaPlan(), "test", {}).call(RunTask("ticket", b"", None, 1.0, False))
    assert call.wait(PATIENCE)
    assert call.outcome == Lost("ticket", "the connection to the cluster was lost", begun)


def test_an_answer_that_cannot_be_read_ends_the_link_and_its_calls(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "start_bridge", running(SENDS_NO_PICKLE))
    own = BridgeLink("local", ReplicaPlan(), "test", {})
    call = own.call(RunTask("ticket", b"", None, 1.0, False))
    assert call.wait(PATIENCE) and isinstance(call.outcome, Lost)
    assert not own.alive and own._process.poll() is not None and not Path(own._folder.name).exists()
    assert "what the bridge sent could not be read" in caplog.text


def test_a_link_ends_though_what_the_bridge_has_left_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(session: int) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(link, "start_bridge", running(READS))
    monkeypatch.setattr(link, "end_processes_of_session", fail)
    own = BridgeLink("local", ReplicaPlan(), "test", {})
    call = own.call(RunTask("ticket", b"", None, 1.0, False))
    assert call.wait(PATIENCE) and isinstance(call.outcome, Lost)
    assert not own.alive and not Path(own._folder.name).exists()
    assert "what the bridge has left could not be removed" in caplog.text and "Too many open files" in caplog.text


def test_an_end_is_not_closed_while_a_message_is_written() -> None:
    """The number of a closed file is given to the next one that is opened, which would get the rest of the message."""
    ours, theirs = socket.socketpair()
    channel = Channel(Connection(ours.detach()))
    sending = threading.Thread(target=channel.send, args=(bytes(2**24),))  # more than a socket's buffer holds
    sending.start()
    closing = threading.Thread(target=channel.close)
    time.sleep(0.1)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    read = 0
    while chunk := theirs.recv(2**20):
        read += len(chunk)
    sending.join(PATIENCE)
    closing.join(PATIENCE)
    theirs.close()
    assert read > 2**24 and not closing.is_alive()


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


def test_the_cluster_is_looked_for_again_whatever_an_attempt_raises(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[None] = []

    def refuse(*_: object) -> None:
        tries.append(None)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(remote_runner, "BridgeLink", refuse)
    monkeypatch.setattr(remote_runner, "PAUSE_S", 0.01)
    runner = RemoteRunner("local", ReplicaPlan())
    runner.connect()
    end = time.monotonic() + PATIENCE
    while len(tries) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    runner.close()
    assert len(tries) >= 3 and "the cluster could not be looked for" in caplog.text
