"""When glibc's malloc returns freed memory to the system; its defaults suit neither the app nor training.

Other C libraries lack these calls; there, nothing happens.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # M_... in malloc.h
TRIM_EVERY_S = 2.0
MALLOC_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",  # glibc: one heap for all threads
    "MALLOC_MMAP_THRESHOLD_": str(3 * 1024**2),  # what a forward pass frees returns to the system,
    "THP_MEM_ALLOC_ENABLE": "1",  # and torch asks for huge pages, without which that is slow
}  # for a process that runs models: they save 250 MiB with many visitors


def trim() -> None:
    """Return freed memory to the system, which glibc does not do by itself: some 300 MiB after forward passes."""
    _call("malloc_trim", 0)


class Trimmer:
    """Returns freed memory to the system now and then. Any thread may call it."""

    def __init__(self) -> None:
        self._trimmed, self._lock = 0.0, threading.Lock()

    def trim_if_due(self) -> None:
        """Return freed memory, but at most every two seconds."""
        with self._lock:
            if time.monotonic() < self._trimmed + TRIM_EVERY_S:
                return
            self._trimmed = time.monotonic()
        trim()


@contextmanager
def hold_freed_memory() -> Iterator[None]:
    """Keep freed memory in the process meanwhile: the next training step needs as much again.

    Otherwise each large tensor is returned to the system, which zeroes its pages again for the next step.
    """
    _call("mallopt", MMAP_MAX, 0)
    _call("mallopt", TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        _call("mallopt", MMAP_MAX, 65536)  # glibc's defaults
        _call("mallopt", TRIM_THRESHOLD, 128 * 1024)
        trim()


def _call(name: str, *numbers: int) -> None:
    with suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), name)(*numbers)
