"""Threads that work on pictures at once: each waits most of its time for an answer from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any


class ThreadWorkers:
    """See `PictureWorkers`. Tasks are passed to one function; what it raises is the outcome.

    Args:
        work: does a task.
        count: threads.
    """

    def __init__(self, work: Callable[[Any], Any], count: int) -> None:
        self._work, self._count = work, count
        self._pool = ThreadPoolExecutor(count, "segviz-pictures")
        self._outcomes: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._under_way = 0  # counted in the thread that sends and receives

    @property
    def room(self) -> int:
        """Threads that are free."""
        return self._count - self._under_way

    @property
    def ahead(self) -> int:
        """As many outcomes may wait for their turn as there are threads."""
        return 2 * self._count

    def send(self, number: int, task: Any) -> None:
        """Have a thread do a task."""
        self._under_way += 1
        self._pool.submit(self._do, number, task)

    def _do(self, number: int, task: Any) -> None:
        try:
            outcome = self._work(task)
        except BaseException as error:  # raised again by whoever takes the outcomes
            outcome = error
        self._outcomes.put((number, outcome))

    def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
        """The next outcome; none where none comes in time."""
        try:
            found = self._outcomes.get(timeout=timeout_s)
        except Empty:
            return ()
        self._under_way -= 1
        return (found,)

    def close(self) -> None:
        """Start nothing more; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
