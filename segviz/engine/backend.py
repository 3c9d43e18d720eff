"""The contract of a backend, which runs the models. tests/backend_contract.py holds every implementation to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from segviz.engine.answer import Answer, Result
from segviz.engine.request import Request

ComputationObserver = Callable[[str, str, float], None]  # (model, op, seconds), after a computation


@dataclass(frozen=True)
class Health:
    """What the engine is doing, and what it has done since it started.

    Attributes:
        ok: whether fewer than three computations crashed within the last minute.
        workers: computations that may run at once.
        running: computations running.
        queued: computations waiting.
        queue_limit: computations that may wait.
        cached: results in the cache.
        cache_bytes: bytes in the cache.
        cache_limit: bytes that the cache may hold.
        models: models loaded.
        counts: requests by outcome since the start: `computed`, `reused` (answered without a computation of their
            own), `unusable` (a bad checkpoint or request), `busy`, `late`, `left` (the lease ran out), `superseded`,
            `too_large`; and attempts that were `lost` with what ran them, or `crashed`.
        replicas: replicas that run, where models run outside this process; None elsewhere, and until one has started.
        remote: whether models run outside this process.
    """

    ok: bool
    workers: int
    running: int
    queued: int
    queue_limit: int
    cached: int
    cache_bytes: int
    cache_limit: int
    models: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    replicas: int | None = None
    remote: bool = False


@runtime_checkable
class Backend(Protocol):
    """Runs the models."""

    def submit(self, request: Request) -> Answer:
        """The answer to come; it is finished at once if the result is cached.

        A request may be late, superseded, too large, or crash: its answer then raises an EngineError, or the
        CheckpointError or AttributionError that names the cause.

        Raises:
            BusyError: too many requests are waiting.
        """

    def find_cached(self, request: Request) -> Result | None:
        """The result if it is cached, else None."""

    def leave(self, session: str) -> None:
        """Drop the session's requests; their answers raise a LeaseError."""

    def health(self) -> Health:
        """What the backend is doing."""
