"""What the server tells of itself: numbers, health, and the log."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from segviz import logs, telemetry
from segviz.checkpoint import CheckpointError
from segviz.engine import Engine
from segviz.web import blobs, watch


def value(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No failure so far and no check."""
    telemetry._failed.clear()
    monkeypatch.setattr(telemetry, "_checks", {})
    yield
    telemetry._failed.clear()


FAILURES = {"model": RuntimeError("lost"), "memory": MemoryError(), "checkpoint": CheckpointError("damaged")}


def test_the_engine_tells_of_forwards_hits_and_errors_by_kind(calm: None) -> None:
    def load(name: str) -> object:
        if name == "checkpoint":
            raise FAILURES[name]

        def predictor(image: np.ndarray) -> object:
            assert value("segviz_forwards_running") == 1
            time.sleep(0.03)
            raise FAILURES[name]

        return predictor

    before = {kind: value("segviz_errors_total", kind=kind) for kind in FAILURES}
    forwards = value("segviz_forward_seconds_count", model="memory")
    engine = Engine(load)  # type: ignore[arg-type]
    for kind in [*FAILURES, "checkpoint", "checkpoint", "memory", "memory"]:
        with pytest.raises(type(FAILURES[kind])):
            engine.predict(kind, np.zeros((8, 8, 3), np.uint8))
    rise = {kind: value("segviz_errors_total", kind=kind) - before[kind] for kind in FAILURES}
    assert rise == {"model": 1, "memory": 3, "checkpoint": 3}
    assert telemetry.problems() == {}  # one damaged file or large picture is no reason to restart the server
    assert value("segviz_forwards_running") == 0
    assert value("segviz_forward_seconds_count", model="memory") == forwards + 3
    assert value("segviz_forward_seconds_sum", model="model") > 0.02


def test_the_viewer_s_store_tells_its_bytes() -> None:
    store = blobs.BlobStore(1000)
    store.put(b"a" * 300)
    store.put(b"b" * 200)
    assert value("segviz_cache_bytes", store="viewer") == 500


def test_health_turns_bad_with_a_check_or_three_failures_and_good_again(
    calm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(Starlette(routes=watch.routes()))
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (
        200,
        {"status": "ok", "problems": {}},
    )
    wrong: list[str] = []
    telemetry.add_check("models", lambda: wrong[0] if wrong else None)
    wrong.append("no model is there")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["problems"]) == (503, {"models": "no model is there"})
    wrong.clear()
    for _ in range(2):
        telemetry.error("model")
    telemetry.error("page")  # a page's own fault does not make the server unwell
    assert client.get("/healthz").status_code == 200
    telemetry.error("worker")
    assert "3 forwards failed" in client.get("/healthz").json()["problems"]["forwards"]
    monkeypatch.setattr(telemetry, "WITHIN", 0.0)
    assert client.get("/healthz").status_code == 200


def test_metrics_are_prometheus_s_text() -> None:
    telemetry.waiting(3)
    answer = TestClient(Starlette(routes=watch.routes())).get("/metrics")
    telemetry.waiting(0)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "\nsegviz_queue_length 3.0\n" in answer.text


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a logger with our formatter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.getLogger("segviz.test")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


def test_a_record_is_one_line_of_json_whatever_it_says(written: io.StringIO) -> None:
    request = logs.new_request()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("segviz.test").exception('a "%s"\n{"level": "forged"}', "picture")
    (line,) = written.getvalue().splitlines()
    record = json.loads(line)
    assert record["message"] == 'a "picture"\n{"level": "forged"}'
    assert (record["level"], record["logger"], record["request"]) == ("error", "segviz.test", request)
    assert "ValueError: two\nlines" in record["exception"]


def test_threads_have_requests_of_their_own() -> None:
    mine, theirs = logs.new_request(), []
    thread = threading.Thread(target=lambda: theirs.extend([logs.request_id(), logs.request_id()]))
    thread.start()
    thread.join()
    assert logs.request_id() == mine
    assert theirs[0] == theirs[1] != mine
