"""What bridge and replicas tell each other beside the calls: progress, stop signs, and what replicas hold.

Ray stops no synchronous work, so a computation asks at each step whether it is still wanted.
"""

from __future__ import annotations

import time

import ray

from segviz.cluster.messages import ReplicaState

FORGET_AFTER_S = 60.0  # a replica that has not told of itself for so long


class Board:
    """An actor of the bridge, with quick methods. It ends with the bridge, as replicas notice."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[int, int]] = {}
        self._stopped: set[str] = set()
        self._states: dict[int, tuple[float, ReplicaState]] = {}

    def report(self, ticket: str, done: int, total: int) -> bool:
        """Note how far a computation is; whether it is to stop."""
        self._steps[ticket] = done, total
        return ticket in self._stopped

    def progress(self, ticket: str) -> tuple[int, int]:
        """Steps that are done, and steps in all."""
        return self._steps.get(ticket, (0, 1))

    def stop(self, ticket: str) -> None:
        """Have a computation stop at its next step."""
        self._stopped.add(ticket)

    def remove(self, ticket: str) -> None:
        """Forget a computation that has ended."""
        self._steps.pop(ticket, None)
        self._stopped.discard(ticket)

    def note_state(self, state: ReplicaState) -> None:
        """Note what a replica holds."""
        self._states[state.process] = time.monotonic(), state

    def note_well(self, process: int) -> None:
        """Note that a replica is well."""
        if process in self._states:
            self._states[process] = time.monotonic(), self._states[process][1]

    def states(self) -> tuple[ReplicaState, ...]:
        """What each replica holds, as far as it has told within a minute."""
        now = time.monotonic()
        self._states = {key: kept for key, kept in self._states.items() if now - kept[0] < FORGET_AFTER_S}
        return tuple(state for _, state in self._states.values())


RemoteBoard = ray.remote(num_cpus=0, max_restarts=-1)(Board)
