"""The start of the app: its port is checked first, and the server ends with the process that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from segviz import paths
from segviz.server.launch import app_command, check_port, passed_value


@pytest.fixture
def taken() -> int:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_port_that_is_taken_is_named_with_its_cure(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said = rf"port {taken} is taken by another program; choose another with --port"
    with pytest.raises(RuntimeError, match=said):
        check_port(taken, ())
    with pytest.raises(RuntimeError, match=said):
        check_port(None, ("--server.port", str(taken)))
    with pytest.raises(RuntimeError, match=said):
        check_port(None, (f"--server.port={taken}",))
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", str(taken))
    with pytest.raises(RuntimeError, match=said):
        check_port(None, ())
    check_port(free_port(), ())


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"cannot be opened at 192\.0\.2\.1, which is not an address"):
        check_port(free_port(), ("--server.address", "192.0.2.1"))


def test_what_streamlit_cannot_read_is_left_to_streamlit() -> None:
    check_port(None, ("--server.port", "many"))
    check_port(free_port(), ("--server.address", "no such host.invalid"))


def test_the_port_is_streamlits_own_unless_it_is_given() -> None:
    assert "--server.port" not in app_command(Path("app.py"), None)
    assert app_command(Path("app.py"), 8600)[-2:] == ["--server.port", "8600"]
    assert passed_value(("--a", "1", "--b=2", "--a=3"), "--a") == "3"
    assert passed_value(("--a",), "--a") is None


@pytest.mark.slow
def test_sigterm_ends_the_server_and_frees_its_port() -> None:
    port = free_port()
    command = [sys.executable, "-m", "segviz", "app", "--port", str(port), "--", "--server.headless", "true"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=paths.PACKAGE.parent, env=dict(os.environ)
    )
    try:
        wait_until(lambda: answers(port), 90)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        wait_until(lambda: not answers(port), 10)
        check_port(port, ())
    finally:
        process.kill()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(is_so, seconds: float) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.2)
