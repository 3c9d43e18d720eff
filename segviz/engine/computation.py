"""A computation in the books of the embedded backend, and those who wait for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from segviz.engine.request import Answer, Request


class AbandonedError(Exception):
    """Nobody waits any more."""


@dataclass
class Waiter:
    """Who waits for an answer, and until when by the monotonic clock; each look extends the lease."""

    session: str
    ticket: int
    deadline: float
    lease_s: float
    seen: float

    @property
    def lease(self) -> float:
        """When it is taken to have gone."""
        return self.seen + self.lease_s


@dataclass(eq=False)
class Job:
    """One computation and everyone who waits for it. The backend's lock guards it."""

    key: str
    request: Request
    need: int
    waiters: dict[Answer, Waiter] = field(default_factory=dict)
    running: bool = False
    done: int = 0
    total: int = 1
    began: float = 0.0
