"""Progress and stop signs of long computations, between the app's process and the replicas.

Ray stops no synchronous work, so a computation asks at each step whether it is still wanted.
"""

from __future__ import annotations

import ray


class Board:
    """An actor; its methods are quick. An entry lives from the first report until `remove`."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[int, int]] = {}
        self._stopped: set[str] = set()

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


RemoteBoard = ray.remote(num_cpus=0, max_restarts=-1)(Board)
