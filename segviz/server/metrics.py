"""What the server tells of itself: numbers for Prometheus, and whether it is well.

The server feeds these functions, and the engine is asked for its own numbers; /metrics and /healthz (`health.py`) read
them. They may be called from any thread. Labels come from fixed sets, never from a visitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from segviz.engine import Health

ErrorKind = Literal["page", "request"]
Refusal = Literal["host", "origin", "watchers", "visitors", "requests", "uploads", "slow"]
Store = Literal["viewer", "uploads"]
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REGISTRY = CollectorRegistry()
_seconds = Histogram(
    "segviz_computation_seconds", "Duration of a computation", ["model", "op"], buckets=BUCKETS, registry=REGISTRY
)  # its count is the number of computations
_bytes = Gauge("segviz_store_bytes", "Bytes that a store holds", ["store"], registry=REGISTRY)
_errors = Counter("segviz_errors", "What failed", ["kind"], registry=REGISTRY)
_refused = Counter("segviz_refused", "Requests that the guard refused", ["reason"], registry=REGISTRY)
_visitors = Gauge("segviz_visitors", "Open pages", registry=REGISTRY)
_resident = Gauge("segviz_resident_memory_bytes", "Memory of the server's process", registry=REGISTRY)
_free = Gauge("segviz_available_memory_bytes", "Memory that the machine has left", registry=REGISTRY)
_resident.set_function(lambda: psutil.Process().memory_info().rss)
_free.set_function(lambda: psutil.virtual_memory().available)

_checks: dict[str, Callable[[], str | None]] = {}


class EngineNumbers(Collector):
    """The engine's health as metrics; none before there is an engine."""

    health: Callable[[], Health] | None = None

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        if self.health is None:
            return
        health = self.health()
        yield GaugeMetricFamily("segviz_queue_length", "Questions that wait for a model", health.queued)
        yield GaugeMetricFamily("segviz_computations_running", "Computations under way", health.running)
        yield GaugeMetricFamily("segviz_results_kept", "Results that are kept", health.cached)
        yield GaugeMetricFamily("segviz_results_bytes", "Bytes of the results that are kept", health.cache_bytes)
        outcomes = CounterMetricFamily("segviz_questions", "How questions ended", labels=["outcome"])
        for outcome, count in health.counts.items():
            outcomes.add_metric([outcome], count)
        yield outcomes


_engine = EngineNumbers()
REGISTRY.register(_engine)


def watch_engine(health: Callable[[], Health]) -> None:
    """Tell the engine's numbers from now on, and be unwell while it is not."""
    _engine.health = health
    add_check("engine", lambda: None if health().ok else "computations failed within the last minute; the log says why")


def computed(model: str, op: str, seconds: float) -> None:
    """A computation came to its end."""
    _seconds.labels(model, op).observe(seconds)


def store_bytes(store: Store, count: int) -> None:
    """A store now holds so many bytes."""
    _bytes.labels(store).set(count)


def error(kind: ErrorKind) -> None:
    """Something failed outside of the engine."""
    _errors.labels(kind).inc()


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
    return {name: wrong for name, check in _checks.items() if (wrong := check()) is not None}


def metrics() -> bytes:
    """All numbers in Prometheus's text format."""
    return generate_latest(REGISTRY)
