"""What the server tells of itself: numbers, health, and the log."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine import Capacity, CrashError, Engine, Health, OpResult, Runner, ThreadBackend
from segviz.server import blobs, logs, metrics
from segviz.server import health as watch
from segviz.server.traceback_limit import LINES_PER_FAILURE, TracebackLimit


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check and no engine so far."""
    monkeypatch.setattr(metrics, "_checks", {})
    monkeypatch.setattr(metrics._engine, "health", None)


class Stand:
    """A predictor that can fail."""

    def __init__(self, name: str) -> None:
        if name == "sam":
            raise CheckpointError("damaged")
        self.name = name

    def __call__(self, image: np.ndarray) -> OpResult:
        assert value("segviz_computations_running") == 1
        if self.name == "psa":
            raise RuntimeError("lost")
        time.sleep(0.03)
        return OpResult(None)


def test_the_engine_s_numbers_and_its_health_are_told(calm: None) -> None:
    backend = ThreadBackend(Runner(Stand, identify=str), Capacity(workers=1), metrics.record_computation)
    engine = Engine(backend)
    metrics.report_engine(engine.health)
    picture = np.zeros((8, 8, 3), np.uint8)
    computed = value("segviz_computation_seconds_count", model="fla", op="predict")
    for _ in range(2):
        engine.ask("fla", picture).result()
    for _ in range(3):
        with pytest.raises(CheckpointError):
            engine.ask("sam", picture).result()
    assert metrics.find_problems() == {}  # one damaged file is no reason to restart the server
    for _ in range(2):
        with pytest.raises(CrashError):
            engine.ask("psa", picture).result()
    backend.close()
    counts = {
        name: value("segviz_engine_requests_total", outcome=name)
        for name in ("computed", "reused", "unusable", "crashed")
    }
    assert counts == {"computed": 1, "reused": 1, "unusable": 3, "crashed": 4}
    assert value("segviz_computations_running") == value("segviz_queue_length") == 0
    assert value("segviz_results_kept") == 1
    assert value("segviz_computation_seconds_count", model="fla", op="predict") == computed + 1
    assert value("segviz_computation_seconds_sum", model="fla", op="predict") > 0.02
    assert "within the last minute" in metrics.find_problems()["engine"]


def test_the_viewer_s_store_tells_its_bytes() -> None:
    store = blobs.BlobStore(1000)
    store.put(b"a" * 300)
    store.put(b"b" * 200)
    assert value("segviz_store_bytes", store="viewer") == 500


def test_health_turns_bad_with_a_check_and_good_again(calm: None) -> None:
    client = TestClient(Starlette(routes=watch.health_routes()))
    first = client.get("/healthz")
    assert (first.status_code, first.json()) == (200, {"status": "ok", "problems": {}})
    wrong = ["no model is there"]
    metrics.add_check("models", lambda: wrong[0] if wrong else None)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["problems"]) == (503, {"models": "no model is there"})
    wrong.clear()
    metrics.count_error("page")  # a page's own fault does not make the server unwell
    assert client.get("/healthz").status_code == 200


def test_metrics_are_prometheus_s_text(calm: None) -> None:
    health = Health(True, workers=2, running=1, queued=3, queue_limit=64, cached=5, cache_bytes=7, cache_limit=9)
    metrics.report_engine(lambda: health)
    answer = TestClient(Starlette(routes=watch.health_routes())).get("/metrics")
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
    request = logs.new_request_id()
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
    mine, theirs = logs.new_request_id(), []
    thread = threading.Thread(target=lambda: theirs.extend([logs.request_id(), logs.request_id()]))
    thread.start()
    thread.join()
    assert logs.request_id() == mine
    assert theirs[0] == theirs[1] != mine


@pytest.mark.timeout(60)
def test_what_the_collector_ends_while_a_fault_is_counted_may_log_in_the_same_thread() -> None:
    def fault(error: Exception) -> logging.LogRecord:
        try:
            raise error
        except type(error):
            return logging.LogRecord("segviz.test", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())

    def clock() -> float:
        if not nested:
            nested.append(fault(KeyError("a task's exception was never retrieved")))
            assert limit.filter(nested[0])
        return 0.0

    nested: list[logging.LogRecord] = []
    limit = TracebackLimit(clock)
    counted = threading.Thread(
        target=lambda: counts.append(limit.filter(fault(ValueError("a page failed")))), daemon=True
    )
    counts: list[bool] = []
    counted.start()
    counted.join(20)
    assert counts == [True] and len(nested) == 1


def test_a_check_may_be_added_while_another_one_looks(calm: None) -> None:
    metrics.add_check("models", lambda: metrics.add_check("engine", lambda: "it is new"))
    assert metrics.find_problems() == {}
    assert metrics.find_problems() == {"engine": "it is new"}


def test_a_fault_that_a_visitor_repeats_cannot_fill_the_log(written: io.StringIO) -> None:
    now, logger = [0.0], logging.getLogger("segviz.test")
    (handler,) = (one for one in logger.handlers if getattr(one, "stream", None) is written)
    handler.addFilter(TracebackLimit(lambda: now[0]))

    def fail(error: type[Exception]) -> None:
        try:
            raise error("made-up widget")
        except Exception:
            logger.exception("a message could not be used")

    for _ in range(1000):
        fail(KeyError)
    lines = written.getvalue().splitlines()
    assert len(lines) == LINES_PER_FAILURE and sum("Traceback" in line for line in lines) == 1
    fail(ValueError)  # another fault
    assert "Traceback" in written.getvalue().splitlines()[-1]
    now[0] = 61.0
    fail(KeyError)
    last = written.getvalue().splitlines()[-1]
    assert "Traceback" in last and f"and {1000 - LINES_PER_FAILURE} times that were not logged" in last
