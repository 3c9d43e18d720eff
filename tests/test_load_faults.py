"""Servers planted with a fault each, which the parts of the load run have to find out."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from load_run import BRIEF, SHORT, abandoned_upload, growth, isolation, serve

from segviz.paths import PACKAGE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
BAD = Path(__file__).parent / "bad_pages"


def test_a_page_that_mixes_visitors_up_is_found_out(tmp_path: Path) -> None:
    with serve(BAD / "leaking.py", tmp_path / "log") as server:
        found = asyncio.run(isolation(server, SHORT, [""]))
    assert found.figures["wrong"] > 0
    assert any("a different answer than alone" in problem for problem in found.problems)


def test_a_page_whose_cache_grows_is_found_out(tmp_path: Path) -> None:
    with serve(BAD / "growing.py", tmp_path / "log") as server:
        found = asyncio.run(growth(server, replace(SHORT, reruns=8, uploads=0, opened=0), ""))
    assert any("reruns: caches grew" in problem for problem in found.problems)


def test_a_server_that_keeps_the_uploads_of_those_who_left_is_found_out(tmp_path: Path) -> None:
    with serve(BAD / "hoarding.py", tmp_path / "log", PYTHONPATH=str(PACKAGE.parent), **BRIEF) as server:
        found = asyncio.run(abandoned_upload(server, SHORT, ""))
    assert any("an upload was held" in problem for problem in found.problems), found
