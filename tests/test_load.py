"""The short form of the load run, and planted pages that it has to find out."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from load_run import BRIEF, SHORT, abandoned, growth, isolation, run, served

from segviz.paths import PACKAGE

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what the server needs"),
]
BAD = Path(__file__).parent / "bad_pages"


def test_many_visitors_get_their_own_answers_and_leave_nothing_behind(tmp_path: Path) -> None:
    found = run(SHORT, tmp_path)
    assert {name: one.problems for name, one in found.items()} == {name: [] for name in found}
    assert found["isolation"].figures["captures"] >= SHORT.captures


def test_a_page_that_mixes_visitors_up_is_found_out(tmp_path: Path) -> None:
    with served(BAD / "leaking.py", tmp_path / "log") as server:
        found = asyncio.run(isolation(server, SHORT, [""]))
    assert found.figures["wrong"] > 0
    assert any("another answer than alone" in problem for problem in found.problems)


def test_a_page_whose_cache_grows_is_found_out(tmp_path: Path) -> None:
    with served(BAD / "growing.py", tmp_path / "log") as server:
        found = asyncio.run(growth(server, replace(SHORT, reruns=24, uploads=0), ""))
    assert any("reruns: caches grew" in problem for problem in found.problems)


def test_a_server_that_keeps_the_uploads_of_those_who_left_is_found_out(tmp_path: Path) -> None:
    with served(BAD / "hoarding.py", tmp_path / "log", PYTHONPATH=str(PACKAGE.parent), **BRIEF) as server:
        found = asyncio.run(abandoned(server, SHORT, ""))
    assert any("an upload was held" in problem for problem in found.problems), found
