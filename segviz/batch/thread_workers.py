"""Threads that work on pictures at once: each waits most of its time for an answer from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any


class ThreadWorkers:
    """See `PictureWorkers`. Tasks are passed to one function; what it raises is the outcome.

    A process that ends waits for none of the threads, as it would for those of a ThreadPoolExecutor.

    Args:
        work: does a task.
        count: threads.
    """

    def __init__(self, work: Callable[[Any], Any], count: int) -> None:
        self._work, self._count = work, count
        self._tasks: SimpleQueue[tuple[int, Any] | None] = SimpleQueue()  # None ends a thread
        self._outcomes: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._threads = 0
        self._under_way = 0  # counted in the thread that sends and receives

    def has_room(self, alone: bool) -> bool:
        """Whether a thread is free."""
        return self._under_way < self._count

    @property
    def ahead(self) -> int:
        """As many outcomes may wait for their turn as there are threads."""
        return 2 * self._count

    def send(self, number: int, task: Any, alone: bool = True) -> None:
        """Have a thread do a task; a thread never has two."""
        self._under_way += 1
        self._tasks.put((number, task))
        if self._threads < min(self._under_way, self._count):
            self._threads += 1
            threading.Thread(target=self._do_tasks, name=f"segviz-pictures-{self._threads}", daemon=True).start()

    def _do_tasks(self) -> None:
        while (taken := self._tasks.get()) is not None:
            number, task = taken
            try:
                outcome = self._work(task)
            except BaseException as error:  # raised again by whoever takes the outcomes
                outcome = error
            self._outcomes.put((number, outcome))
            del taken, task, outcome  # a thread that waits keeps no picture

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
        with suppress(Empty):
            while True:
                self._tasks.get_nowait()
        for _ in range(self._threads):
            self._tasks.put(None)
