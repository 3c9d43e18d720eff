"""When the process gives freed memory back to the system: glibc's malloc, whose defaults suit neither app nor training.

Other systems' libraries lack these calls; there, nothing happens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # M_... in malloc.h


def trim() -> None:
    """Give memory that forwards have freed back to the system, which glibc does not do by itself: some 300 MiB."""
    _call("malloc_trim", 0)


@contextmanager
def held() -> Iterator[None]:
    """Freed memory stays with the process meanwhile, for a training's next step, which needs as much again.

    Otherwise each large tensor goes back to the system, which zeroes it anew for the next step, page by page.
    """
    _call("mallopt", MMAP_MAX, 0)
    _call("mallopt", TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        _call("mallopt", MMAP_MAX, 65536)  # glibc's own numbers
        _call("mallopt", TRIM_THRESHOLD, 128 * 1024)
        trim()


def _call(name: str, *numbers: int) -> None:
    with suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), name)(*numbers)
