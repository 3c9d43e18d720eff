"""When glibc's malloc returns freed memory to the system; its defaults suit neither the app nor training.

Other C libraries lack these calls; there, nothing happens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # M_... in malloc.h


def trim() -> None:
    """Return freed memory to the system, which glibc does not do by itself: some 300 MiB after forwards."""
    _call("malloc_trim", 0)


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
