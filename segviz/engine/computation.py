"""A computation, and the answers that wait for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from segviz.engine.answer import Answer
from segviz.engine.request import Request


class AbandonedError(Exception):
    """Nobody waits for the computation any more."""


class LostError(Exception):
    """What ran the computation was lost, through no fault of the computation's that is known.

    Args:
        cause: in words.
        for_memory: whether it was ended because its machine was short of memory.
    """

    def __init__(self, cause: str, for_memory: bool = False) -> None:
        super().__init__(cause)
        self.for_memory = for_memory


@dataclass
class Waiter:
    """One who waits for an answer.

    Attributes:
        session: who asks.
        ticket: the request's ticket.
        deadline: when the answer must have come, by the monotonic clock.
        lease_s: duration of the lease, in seconds.
        renewed: when the lease was last renewed, by the monotonic clock.
    """

    session: str
    ticket: int
    deadline: float
    lease_s: float
    renewed: float

    @property
    def lease_end(self) -> float:
        """When the request is dropped, unless its status is read before."""
        return self.renewed + self.lease_s


@dataclass(eq=False)
class Computation:
    """One computation and everyone who waits for it. The backend's lock guards it.

    Attributes:
        key: what its result depends on.
        request: the first request for it.
        need: bytes that it needs.
        waiters: who waits, by answer.
        running: whether a worker has started it.
        done: steps finished.
        total: steps in all.
        began: when it started, by the monotonic clock.
        attempt: 2 where it failed once and runs again.
    """

    key: str
    request: Request
    need: int
    waiters: dict[Answer, Waiter] = field(default_factory=dict)
    running: bool = False
    done: int = 0
    total: int = 1
    began: float = 0.0
    attempt: int = 1
