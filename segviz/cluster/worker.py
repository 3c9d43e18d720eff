"""What runs the tasks in a replica's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

AskWhetherStopped = Callable[[int, int], bool]  # (steps done, steps in all): whether nobody waits any more


class ReplicaWorker(Protocol):
    """What runs the tasks in a replica's process."""

    def prepare_thread(self) -> None:
        """Called once in each thread that runs tasks."""

    def run(self, task: bytes, fetch: Callable[[], bytes], is_stopped: AskWhetherStopped) -> bytes:
        """The outcome of a task; raises nothing.

        Args:
            task: see `RunTask`.
            fetch: the content of the file that goes with it.
            is_stopped: to be called at each step.
        """

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models that are loaded."""
