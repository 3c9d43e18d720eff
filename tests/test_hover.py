"""How quickly a network's heads follow the pointer: their mean, and a panel for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from segviz.benchmarks.viewer import SYNTHETIC, measure_heads, serve_script

LIMITS = {(32, 32): 16.7, (64, 128): 33.0}  # ms by grid: a frame for 1,024 cells, two for 8,192
TRIES = 3  # other processes may take the processor meanwhile


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The benchmark's page from a server."""
    with serve_script(SYNTHETIC) as served:
        yield served


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("strip", [False, True], ids=["mean", "strip"])
@pytest.mark.parametrize("grid", LIMITS, ids=str)
def test_twelve_heads_follow_the_pointer(browser: Browser, address: str, grid: tuple[int, int], strip: bool) -> None:
    taken = []
    for _ in range(TRIES):
        row = measure_heads(browser, address, grid, strip, rounds=2)
        assert row["drawn"] > row["moves"] / 2
        assert row["websocket_frames"] == 0
        taken.append(row["p95_ms"])
        if taken[-1] <= LIMITS[grid]:
            return
    pytest.fail(f"p95 was {', '.join(f'{one:.1f}' for one in taken)} ms, more than {LIMITS[grid]}")
