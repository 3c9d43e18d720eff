"""The short form of the load run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from load_run import SHORT, run


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_visitors_get_their_own_answers_and_leave_nothing_behind(tmp_path: Path) -> None:
    found = run(SHORT, tmp_path)
    assert {name: one.problems for name, one in found.items()} == {name: [] for name in found}
    assert found["isolation"].figures["captures"] >= SHORT.captures
