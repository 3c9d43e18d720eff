"""What bridge and replicas tell each other beside the calls: progress, stop signs, and what replicas hold.

Ray stops no synchronous work, so a computation asks at each step whether it is still wanted.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import ray

from segviz.cluster.messages import ReplicaState

FORGET_AFTER_S = 60.0  # a replica that has not told of itself for so long
REMOVED = 1000  # tasks that are remembered after their end: their replicas may still report
NEWS_WITHIN_S = 2.0  # where there are none, the same is said again


@dataclass(frozen=True)
class News:
    """All that the board knows.

    Attributes:
        version: changes with everything else.
        steps: (steps done, steps in all) of each task that a replica has begun with.
        states: what each replica holds.
    """

    version: int
    steps: Mapping[str, tuple[int, int]]
    states: tuple[ReplicaState, ...]


class Board:
    """An actor of the bridge, whose methods run in turn in one thread. It ends with the bridge, as replicas notice."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[int, int]] = {}
        self._stopped: set[str] = set()
        self._removed: deque[str] = deque(maxlen=REMOVED)
        self._states: dict[tuple[str, int], tuple[float, ReplicaState]] = {}  # by node and process
        self._version = time.time_ns()  # of a board that was started again, too, another
        self._changed = asyncio.Event()

    async def begin(self, ticket: str) -> None:
        """Note that a replica begins with a task."""
        if ticket not in self._removed:
            self._steps[ticket] = 0, 1
            self._tell()

    async def has_begun(self, ticket: str) -> bool:
        """Whether a replica has begun with a task."""
        return ticket in self._steps

    async def report(self, ticket: str, done: int, total: int) -> bool:
        """Note how far a task is; whether it is to stop. Nobody waits for one that was removed."""
        if ticket in self._removed:
            return True
        self._steps[ticket] = done, total  # also of one that began before this board was started again
        self._tell()
        return ticket in self._stopped

    async def stop(self, ticket: str) -> None:
        """Have a task stop at its next step, which may be its first."""
        if ticket not in self._removed:
            self._stopped.add(ticket)

    async def remove(self, ticket: str) -> None:
        """Forget a task that has ended."""
        self._removed.append(ticket)
        self._steps.pop(ticket, None)
        self._stopped.discard(ticket)

    async def note_state(self, state: ReplicaState) -> None:
        """Note what a replica holds, and that it is well."""
        key = state.node, state.process
        known = self._states.get(key)
        self._states[key] = time.monotonic(), state
        if known is None or known[1] != state:
            self._tell()

    async def wake(self) -> None:
        """Answer who waits for news, though there are none."""
        self._tell()

    async def wait_for_news(self, version: int) -> News:
        """All that is known, once it is no longer what it was in this version."""
        if version == self._version:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), NEWS_WITHIN_S)
        now = time.monotonic()
        self._states = {key: kept for key, kept in self._states.items() if now - kept[0] < FORGET_AFTER_S}
        return News(self._version, dict(self._steps), tuple(state for _, state in self._states.values()))

    def _tell(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()


RemoteBoard = ray.remote(num_cpus=0, max_restarts=-1)(Board)
