"""What is kept of a session, and what is dropped once its visitor has left."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from segviz.server import metrics
from segviz.server.headers import script_hashes
from segviz.server.metrics import REGISTRY
from segviz.ui import server, sessions
from segviz.ui.deep_links import add_script, addresses, deep_link_routes
from segviz.ui.rerun_messages import RerunRules
from segviz.ui.sessions import FILE_BYTES, ExpiringSessions, end_session, held_bytes

INDEX = "<head><script>\n window.prerenderReady = false\n</script></head>"


def test_an_upload_counts_with_its_names() -> None:
    long = UploadedFileRec("f", "n" * 60_000, "t" * 1000, b"x")
    assert held_bytes(long) >= 61_000
    assert held_bytes(UploadedFileRec("", "", "", b"")) >= FILE_BYTES
    assert held_bytes(long) < 61_000 + FILE_BYTES + 5 * sys.getsizeof("")


class FailingSession:
    """A session that cannot be shut down."""

    id = "failing"

    def __init__(self) -> None:
        self.session_state = {"key": "value"}

    def shutdown(self) -> None:
        raise RuntimeError("its script event loop is running")


@pytest.fixture
def frozen_objects() -> Iterator[None]:
    """What a sweep exempts from collection is collected again after the test."""
    yield
    gc.unfreeze()


def test_a_session_that_cannot_be_shut_down_is_freed_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    session: Any = FailingSession()
    end_session(session)
    assert session.session_state == {}
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.usefixtures("frozen_objects")
def test_sweeps_go_on_whatever_fails_in_one_and_in_preloading(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expired: list[bool] = []
    shown: list[None] = []

    def expire(cache: ExpiringSessions, at_time: float | None = None) -> list[Any]:
        expired.append(len(expired) == 0)
        if expired[-1]:
            raise RuntimeError("dictionary changed size during iteration")
        return []

    def fail() -> None:
        raise ImportError("a module is half imported")

    def show() -> None:
        shown.append(None)
        if len(shown) == 1:
            raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(sessions, "SWEEP_EVERY_S", 0.01)
    monkeypatch.setattr(ExpiringSessions, "expire", expire)
    monkeypatch.setattr(sessions, "uploaded_bytes_by_session", lambda: {"one": 5, "other": 7})
    monkeypatch.setattr(server, "preload", fail)
    monkeypatch.setattr(sessions, "show_engine", show)

    async def look_after() -> None:
        task = asyncio.create_task(server.preload_and_sweep(ExpiringSessions(4, 60), RerunRules()))
        for _ in range(2000):
            await asyncio.sleep(0.01)
            if expired.count(False) >= 2:
                break
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with caplog.at_level(logging.ERROR):
        asyncio.run(look_after())
    assert REGISTRY.get_sample_value("segviz_store_bytes", {"store": "uploads"}) == 12
    told = " ".join(record.getMessage() for record in caplog.records)
    assert told.count("preloading failed") == 1
    assert told.count("a part of a sweep over the sessions failed") == 2
    assert len(shown) >= 2


def test_the_engine_is_shown_once_and_again_only_where_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def engine() -> Any:
        made.append(None)
        if len(made) == 1:
            raise RuntimeError("CUDA out of memory")
        return SimpleNamespace(health=lambda: None, observe=observers.append)

    observers: list[Any] = []
    monkeypatch.setattr("segviz.engine.engine", engine)
    monkeypatch.setattr(metrics, "_checks", {})
    monkeypatch.setattr(metrics._engine, "health", None)
    show = sessions.show_engine.__wrapped__
    once = cache(show)
    with pytest.raises(RuntimeError, match="CUDA"):
        once()
    assert metrics._checks == {}
    once()
    once()
    assert list(metrics._checks) == ["engine"]
    assert observers == [metrics.record_computation]


def test_every_address_of_a_page_answers_with_the_place_of_the_server_in_it() -> None:
    index = add_script(INDEX)
    client = TestClient(Starlette(routes=deep_link_routes(index)))
    for address in addresses():
        answer = client.get(f"/{address}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        assert "BACKEND_BASE_URL" in answer.text.split("prerenderReady")[0]
    assert {"inspect", "same_pixel", "blocks"} <= set(addresses())
    assert client.get("/inspect/_stcore/health").status_code == 404
    assert len(script_hashes(index)) == 2
