"""The cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """The number of cores that this process may run on; a container's quota is not counted."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
