"""What the server tells of itself: numbers for Prometheus, and whether it is well.

The engine and the pages feed these functions; /metrics and /healthz (web/watch.py) read them. They may be called from
any thread. Labels come from fixed sets, never from a visitor.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ErrorKind = Literal["page", "request", "checkpoint", "memory", "model", "worker"]
Refusal = Literal["host", "origin", "watchers", "visitors", "requests", "uploads", "slow"]
Store = Literal["predictions", "viewer", "uploads"]
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
UNWELL_AFTER, WITHIN = 3, 60.0  # so many failed forwards in so many seconds

REGISTRY = CollectorRegistry()
_waiting = Gauge("segviz_queue_length", "Requests that wait for a model", registry=REGISTRY)
_running = Gauge("segviz_forwards_running", "Forwards under way", registry=REGISTRY)
_seconds = Histogram(
    "segviz_forward_seconds", "Duration of a forward", ["model"], buckets=BUCKETS, registry=REGISTRY
)  # its count is the number of forwards
_hits = Counter("segviz_cache_hits", "Requests that were answered without a forward", registry=REGISTRY)
_bytes = Gauge("segviz_cache_bytes", "Bytes that a store holds", ["store"], registry=REGISTRY)
_errors = Counter("segviz_errors", "What failed", ["kind"], registry=REGISTRY)
_refused = Counter("segviz_refused", "Requests that the guard refused", ["reason"], registry=REGISTRY)
_visitors = Gauge("segviz_visitors", "Open pages", registry=REGISTRY)
_resident = Gauge("segviz_resident_memory_bytes", "Memory of the server's process", registry=REGISTRY)
_free = Gauge("segviz_available_memory_bytes", "Memory that the machine has left", registry=REGISTRY)
_resident.set_function(lambda: psutil.Process().memory_info().rss)
_free.set_function(lambda: psutil.virtual_memory().available)

_failed: deque[float] = deque(maxlen=UNWELL_AFTER)
_checks: dict[str, Callable[[], str | None]] = {}
_lock = threading.Lock()


def waiting(count: int) -> None:
    """So many requests wait for a model."""
    _waiting.set(count)


def forward_started() -> None:
    """A forward begins; `forward_finished` must follow, whatever happens."""
    _running.inc()


def forward_finished(model: str, seconds: float) -> None:
    """A forward that was started has ended, well or not."""
    _running.dec()
    _seconds.labels(model).observe(seconds)


def cache_hit() -> None:
    """A request was answered from what was kept, or shared another's forward."""
    _hits.inc()


def cache_bytes(store: Store, count: int) -> None:
    """A store now holds so many bytes."""
    _bytes.labels(store).set(count)


def error(kind: ErrorKind) -> None:
    """Something failed; "memory" and "model" are forwards, "worker" is one that was lost.

    Only "model" and "worker" make the server unwell, because a restart may mend them.
    """
    _errors.labels(kind).inc()
    if kind in ("model", "worker"):
        with _lock:
            _failed.append(time.monotonic())


def refused(reason: Refusal) -> None:
    """The guard refused a request."""
    _refused.labels(reason).inc()


def visitors(count: int) -> None:
    """So many pages are open."""
    _visitors.set(count)


def add_check(name: str, check: Callable[[], str | None]) -> None:
    """Let `problems` ask `check` too: it returns what is wrong, in a sentence, or None."""
    _checks[name] = check


def problems() -> dict[str, str]:
    """What is wrong, by the name of the check; empty while all is well."""
    found = {name: wrong for name, check in _checks.items() if (wrong := check()) is not None}
    with _lock:
        if len(_failed) == UNWELL_AFTER and time.monotonic() - _failed[0] < WITHIN:
            found["forwards"] = f"{UNWELL_AFTER} forwards failed within {WITHIN:.0f} seconds; the log says why"
    return found


def metrics() -> bytes:
    """All numbers in Prometheus's text format."""
    return generate_latest(REGISTRY)
