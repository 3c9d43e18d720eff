"""Metrics for Prometheus, and the server's problems.

The server calls these functions; the engine's numbers are read from its health. /metrics and /healthz (`health.py`)
show them. Any thread may call them. Labels come from fixed sets, never from a visitor.
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
Refusal = Literal["host", "origin", "watchers", "visitors", "requests", "uploads", "slow", "messages"]
Store = Literal["viewer", "uploads"]
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REGISTRY = CollectorRegistry()
_seconds = Histogram(
    "segviz_computation_seconds", "Duration of a computation", ["model", "op"], buckets=BUCKETS, registry=REGISTRY
)  # its count is the number of computations
_bytes = Gauge("segviz_store_bytes", "Bytes held by a store", ["store"], registry=REGISTRY)
_errors = Counter("segviz_errors", "Errors by kind", ["kind"], registry=REGISTRY)
_refused = Counter("segviz_refused", "Requests refused by the guard, by reason", ["reason"], registry=REGISTRY)
_visitors = Gauge("segviz_visitors", "Open pages", registry=REGISTRY)
_resident = Gauge("segviz_resident_memory_bytes", "Resident memory of the server's process", registry=REGISTRY)
_free = Gauge("segviz_available_memory_bytes", "Memory available on the machine", registry=REGISTRY)
_resident.set_function(lambda: psutil.Process().memory_info().rss)
_free.set_function(lambda: psutil.virtual_memory().available)

_checks: dict[str, Callable[[], str | None]] = {}


class EngineNumbers(Collector):
    """The engine's health as metrics; none before the engine exists."""

    health: Callable[[], Health] | None = None

    def collect(self) -> Iterator[Metric]:
        """The metric families."""
        if self.health is None:
            return
        health = self.health()
        yield GaugeMetricFamily("segviz_queue_length", "Requests waiting for a model", health.queued)
        yield GaugeMetricFamily("segviz_computations_running", "Computations running", health.running)
        yield GaugeMetricFamily("segviz_results_kept", "Results in the cache", health.cached)
        yield GaugeMetricFamily("segviz_results_bytes", "Bytes of the results in the cache", health.cache_bytes)
        if health.replicas is not None:
            yield GaugeMetricFamily("segviz_replicas", "Replicas that run and are well", health.replicas)
        outcomes = CounterMetricFamily(
            "segviz_engine_requests", "Requests to the engine by outcome", labels=["outcome"]
        )
        for outcome, count in health.counts.items():
            outcomes.add_metric([outcome], count)
        yield outcomes


_engine = EngineNumbers()
REGISTRY.register(_engine)


def report_engine(health: Callable[[], Health]) -> None:
    """Show the engine's numbers from now on; the server counts as unwell while the engine does."""
    _engine.health = health
    add_check("engine", lambda: describe_health(health()))


def describe_health(health: Health) -> str | None:
    """What is wrong with the engine, or None."""
    if health.replicas == 0:
        return "no replica runs: the Ray cluster cannot be used; the log says why, and docs/deploy.md what to look at"
    return None if health.ok else "computations failed within the last minute; the log says why"


def record_computation(model: str, op: str, seconds: float) -> None:
    """Record a finished computation."""
    _seconds.labels(model, op).observe(seconds)


def set_store_bytes(store: Store, count: int) -> None:
    """Set the bytes that a store holds."""
    _bytes.labels(store).set(count)


def count_error(kind: ErrorKind) -> None:
    """Count an error outside the engine."""
    _errors.labels(kind).inc()


def count_refusal(reason: Refusal) -> None:
    """Count a request that the guard refused."""
    _refused.labels(reason).inc()


def set_visitors(count: int) -> None:
    """Set the number of open pages."""
    _visitors.set(count)


def add_check(name: str, check: Callable[[], str | None]) -> None:
    """Have `find_problems` call `check`, which returns a sentence on what is wrong, or None."""
    _checks[name] = check


def find_problems() -> dict[str, str]:
    """What is wrong, by name of the check; empty while the server is well."""
    return {name: wrong for name, check in list(_checks.items()) if (wrong := check()) is not None}


def render_metrics() -> bytes:
    """All metrics in Prometheus's text format."""
    return generate_latest(REGISTRY)
