"""A command that works in a cluster by a child process: what it says and leaves where the child ends, without Ray."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from itertools import count
from pathlib import Path
from types import FrameType

import psutil
import pytest

from segviz.cli import cluster_command
from segviz.cli.cluster_command import describe_kept, run_in_child, start_child
from segviz.cli.main import main, read_command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Ray's clusters are for Linux and macOS here")
WORDS = ["predict", "scene:0", "scene:1", "--model", "fcn", "--out", "results", "--ray"]
START = "import os, signal, subprocess, sys, time\nfrom segviz.runtime.interrupts import unblock_signals\n"
TOLD = "os.write(int(sys.argv[1]), b'0')\n"
LOST = (
    "segviz: the Ray cluster was lost, and the command with it; the files of finished pictures are kept in results; "
    "add --resume to process the rest\n"
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """What runs a command whose child is a few lines of Python: its exit code, and what it said."""

    def run(code: str, words: list[str] = WORDS) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(cluster_command, "CHILD", ("-c", START + code))
        return run_in_child(words, read_command(words)), capfd.readouterr().err

    return run


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_child_that_ends_by_itself_has_said_it_all(code: int, run) -> None:
    assert run(f"{TOLD}sys.exit({code})") == (code, "")


@pytest.mark.parametrize("end", ["os._exit(1)", "os.abort()"])
def test_a_child_that_ray_ends_is_explained_and_nothing_of_it_stays(end: str, run, tmp_path: Path) -> None:
    """Ray ends a process in both ways."""
    code = (
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('found', 'w').write(f'{helper.pid} {sys.argv[2]}')\n" + end
    )
    assert run(code) == (1, LOST)
    helper, folder = (tmp_path / "found").read_text().split()
    assert not psutil.pid_exists(int(helper)) or psutil.Process(int(helper)).status() == psutil.STATUS_ZOMBIE
    assert not Path(folder).exists()


def test_a_child_that_was_killed_is_told_apart_from_a_cluster_that_was_lost(run) -> None:
    code, said = run("os.kill(os.getpid(), signal.SIGKILL)")
    assert code == 1
    assert said.startswith(
        "segviz: the command's process in the cluster was ended by SIGKILL, as happens when memory runs out;"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_child(number: int, run, tmp_path: Path) -> None:
    code = (
        f"signal.signal({int(number)}, lambda *_: ({TOLD.strip()}, os._exit(7)))\n"
        "unblock_signals()\n"
        "open('ready', 'w').close()\n"
        "time.sleep(60)"
    )

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    assert run(code) == (7, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_child_starts_ends_it_without_a_traceback(
    number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python itself would answer Ctrl-C in its first tenth of a second by a traceback."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = start_child(WORDS, theirs.fileno(), str(tmp_path))
        child.send_signal(number)
        assert child.wait(60) == 1
    assert capfd.readouterr().err == "segviz: stopped\n"
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


class ChildInName:
    """A child that notes the signals which it is sent, and ends by itself."""

    pid = 0

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send_signal(self, number: int) -> None:
        self.sent.append(number)

    def wait(self) -> int:
        return 0


def test_a_signal_at_any_moment_reaches_the_child_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each line in turn that `run_in_child` and its own functions run, before and after the child is started."""
    monkeypatch.setattr(cluster_command, "end_processes_of_session", lambda session: None)
    options = read_command(WORDS)
    moments = count()
    for moment in moments:
        child, outside, lines = ChildInName(), [], count()

        def trace(frame: FrameType, event: str, argument: object, lines=lines, moment=moment):
            if not frame.f_code.co_qualname.startswith("run_in_child"):
                return None
            if event == "line" and next(lines) == moment:
                signal.raise_signal(signal.SIGTERM)
            return trace

        monkeypatch.setattr(cluster_command, "start_child", lambda *arguments, child=child: child)
        before, tracer = (
            signal.signal(signal.SIGTERM, lambda number, frame, o=outside: o.append(number)),
            sys.gettrace(),
        )
        sys.settrace(trace)
        try:
            run_in_child(WORDS, options)
        finally:
            sys.settrace(tracer)
            signal.signal(signal.SIGTERM, before)
        if next(lines) <= moment:
            break  # it has no more lines
        assert child.sent + outside == [signal.SIGTERM], f"at line {moment} of those that run"
    assert moment > 10


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (WORDS, r"kept in results; add --resume to process the rest"),
        ([*WORDS[:-3], "--zip", "results.zip", "--ray"], r"results\.zip is not complete; give --out DIR"),
        (["evaluate", "--model", "fcn", "--scenes", "2", "--ray"], r"nothing is kept; give --resume FILE"),
        (["evaluate", "--model", "fcn", "--scenes", "2", "--ray", "--resume", "counts"], r"kept in counts, and"),
    ],
)
def test_what_is_kept_is_said(words: list[str], expected: str) -> None:
    assert re.search(expected, describe_kept(read_command(words)))


def test_what_is_wrong_with_the_options_is_said_without_a_child(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster_command, "start_child", None)
    assert main([*WORDS[:-1], "--workers", "2"]) == 2
    assert "--workers" in capsys.readouterr().err
