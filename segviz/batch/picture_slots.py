"""Slots for pictures in work, shared by all runs of the process, because a picture's arrays are large."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PictureSlots:
    """A count of pictures in work. Any thread may call it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_work = 0

    @contextmanager
    def take(self, most: int) -> Iterator[None]:
        """Wait until fewer than `most` pictures are in work, and count one more inside the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_work < most)
            self._in_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_work -= 1
                self._changed.notify_all()
