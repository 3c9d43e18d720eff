"""The queue: sessions take turns, so that one who asks much delays nobody else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class FairQueue(Generic[Job]):
    """Round robin over sessions, first in first out within one. Its owner holds the lock.

    A job that several sessions wait for stands in each one's line and leaves all of them at once.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, list[Job]] = OrderedDict()  # in the order of the turns

    def __len__(self) -> int:
        return len({id(job) for line in self._lines.values() for job in line})

    def length(self, session: str) -> int:
        """How many jobs a session waits for."""
        return len(self._lines.get(session, ()))

    def push(self, session: str, job: Job) -> None:
        """Put a job at the end of a session's line, once."""
        line = self._lines.setdefault(session, [])
        if job not in line:
            line.append(job)

    def first(self, skipped: Callable[[Job], bool] = lambda job: False) -> Job | None:
        """The job whose turn it is, those left out that are to be skipped."""
        return next((job for line in self._lines.values() for job in line if not skipped(job)), None)

    def take(self, job: Job) -> None:
        """Take a job whose turn it is; its session's next turn comes after everybody else's."""
        session = next(session for session, line in self._lines.items() if job in line)
        self._lines.move_to_end(session)
        self.discard(job)

    def remove(self, session: str, job: Job) -> None:
        """Take a job out of one session's line."""
        line = self._lines.get(session, [])
        if job in line:
            line.remove(job)
        if not line:
            self._lines.pop(session, None)

    def discard(self, job: Job) -> None:
        """Take a job out of every line."""
        for session in list(self._lines):
            self.remove(session, job)

    def place(self, job: Job) -> int:
        """How many turns until a job starts: 1 is the next; 0 where it is not in the queue."""
        seen: list[Job] = []
        for turn in range(max(map(len, self._lines.values()), default=0)):
            for line in self._lines.values():
                if turn < len(line) and line[turn] not in seen:
                    seen.append(line[turn])
                    if line[turn] is job:
                        return len(seen)
        return 0
