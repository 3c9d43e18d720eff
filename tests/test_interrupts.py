"""Ctrl-C and SIGTERM: what is half done is finished first, and imports end without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from segviz import paths
from segviz.cli import commands
from segviz.cli.main import main
from segviz.runtime.interrupts import delay_interrupt, handle_signals, raise_interrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait(0.05)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_end_of_the_block(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    finished = False
    with pytest.raises(KeyboardInterrupt), delay_interrupt():
        send(number)
        finished = True
    assert finished and [signal.getsignal(each) for each in SIGNALS] == before


def test_a_second_signal_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), delay_interrupt():
        send(signal.SIGINT)
        send(signal.SIGINT)
        pytest.fail("the block went on")


def test_an_error_of_the_block_is_the_one_that_is_raised() -> None:
    with pytest.raises(ValueError, match="its own"), delay_interrupt():
        raise ValueError("its own")


def test_ctrl_c_while_a_class_is_made_is_a_stop(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 wraps what a `__set_name__` raises in a RuntimeError."""

    class Field:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def make_class(_: object) -> int:
        type("Owner", (), {"field": Field()})
        return 0

    monkeypatch.setitem(commands.COMMANDS, "recipes", make_class)
    assert main(["recipes"]) == 1
    assert capsys.readouterr().err == "segviz: stopped\n"


def test_sigterm_can_end_blocks_as_ctrl_c_does() -> None:
    with pytest.raises(KeyboardInterrupt), handle_signals(raise_interrupt):
        send(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_libraries_are_imported_is_one_line(number: int) -> None:
    """At whatever moment it comes once Python itself has started."""
    for after in (0.2, 0.6, 1.2, 2.0):
        process = subprocess.Popen(
            [sys.executable, "-X", "frozen_modules=on", "-m", "segviz", "predict", "scene:1", "--model", "fcn",
             "--out", os.devnull + "/x"],
            stderr=subprocess.PIPE, text=True, cwd=paths.PACKAGE.parent,
        )  # fmt: skip
        time.sleep(after)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        if process.returncode in (-number, 1) and not said:
            continue  # Python had not started yet
        assert said.startswith("segviz: ") and len(said.splitlines()) == 1, said
