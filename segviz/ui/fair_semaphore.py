"""A fair semaphore: work that pages do themselves runs a few at a time, in the order in which it was asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from segviz.engine.capacity import cores

LOOK_S = 0.1  # seconds between looks at the line, and at whether the visitor has clicked


class Turns:
    """Turns for a limited number of threads; an ordinary semaphore would let latecomers overtake.

    Args:
        at_once: how many threads may have their turn at once.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._line: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def turn(self, look: Callable[[], object]) -> Iterator[None]:
        """Wait for a turn and hold it. `look` is called while waiting and once at the turn; it may raise to leave."""
        self._queue(look)
        try:
            look()
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _queue(self, look: Callable[[], object]) -> None:
        me = object()
        with self._changed:
            self._line.append(me)
        try:
            while not self._try_to_enter(me):
                look()
        finally:
            with self._changed:
                if me in self._line:
                    self._line.remove(me)
                self._changed.notify_all()

    def _try_to_enter(self, me: object) -> bool:
        """Whether the turn comes before it is time to look."""
        with self._changed:
            if not self._mine(me):
                self._changed.wait(LOOK_S)
            if not self._mine(me):
                return False
            self._line.popleft()
            self._free -= 1
            return True

    def _mine(self, me: object) -> bool:
        return self._free > 0 and self._line[0] is me


DECODING_AT_ONCE = max(1, min(4, cores() // 2))  # visitors' files: each takes up to 480 MB, and seconds
DECODING = Turns(DECODING_AT_ONCE)
