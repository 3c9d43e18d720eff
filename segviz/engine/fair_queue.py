"""The queue: sessions take turns, so one session with many requests delays no other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Round robin over sessions, first in first out within each. Its owner holds the lock.

    An item that several sessions wait for is in the line of each, and leaves all lines at once.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, list[Item]] = OrderedDict()  # in order of the sessions' turns

    def __len__(self) -> int:
        return len({id(item) for line in self._lines.values() for item in line})

    def length(self, session: str) -> int:
        """How many items a session waits for."""
        return len(self._lines.get(session, ()))

    def push(self, session: str, item: Item) -> None:
        """Put an item at the end of a session's line, once."""
        line = self._lines.setdefault(session, [])
        if item not in line:
            line.append(item)

    def first(self, skip: Callable[[Item], bool] = lambda item: False) -> Item | None:
        """The next item for which `skip` is false, or None."""
        return next((item for line in self._lines.values() for item in line if not skip(item)), None)

    def take(self, item: Item) -> None:
        """Remove an item whose turn has come; its session's next turn comes after everyone else's."""
        session = next(session for session, line in self._lines.items() if item in line)
        self._lines.move_to_end(session)
        self.discard(item)

    def remove(self, session: str, item: Item) -> None:
        """Remove an item from one session's line."""
        line = self._lines.get(session, [])
        if item in line:
            line.remove(item)
        if not line:
            self._lines.pop(session, None)

    def discard(self, item: Item) -> None:
        """Remove an item from every line."""
        for session in list(self._lines):
            self.remove(session, item)

    def position(self, item: Item) -> int:
        """How many turns until an item starts: 1 is next, 0 is not in the queue."""
        seen: list[Item] = []
        for turn in range(max(map(len, self._lines.values()), default=0)):
            for line in self._lines.values():
                if turn < len(line) and line[turn] not in seen:
                    seen.append(line[turn])
                    if line[turn] is item:
                        return len(seen)
        return 0
