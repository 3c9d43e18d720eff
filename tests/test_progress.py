"""Progress: a bar in a terminal, lines in a log."""

from __future__ import annotations

import io
import sys

import pytest
from tqdm import tqdm

from segviz.runtime import progress
from segviz.runtime.progress import LogBar, progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock to set by hand."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_ten_seconds(seconds: list[float]) -> None:
    log = io.StringIO()
    for _ in LogBar(range(100), desc="fla", unit="step", file=log):
        seconds[0] += 0.35  # 35 seconds in all
        tqdm.write("said", file=io.StringIO())
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    assert 2 <= len(lines) <= 3
    assert all(line.startswith("fla: ") and "of 100 [" in line for line in lines)


@pytest.mark.parametrize("leave", [True, False])
def test_short_work_leaves_no_line_in_a_log(leave: bool, seconds: list[float]) -> None:
    log = io.StringIO()
    assert list(LogBar(range(5), file=log, leave=leave)) == [0, 1, 2, 3, 4]
    with LogBar(total=3, file=log, leave=leave) as bar:
        bar.update(3)
        bar.set_postfix(loss="1")
    assert log.getvalue() == ""
    assert list(LogBar(range(2), disable=True)) == [0, 1]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, kind in ((Terminal(), tqdm), (io.StringIO(), LogBar)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert type(progress_bar(range(2), desc="x")) is kind
