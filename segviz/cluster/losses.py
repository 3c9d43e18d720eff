"""Why what ran in a cluster was lost, in words."""

from __future__ import annotations

import re

LOW_ON_MEMORY = re.compile(r"low on memory|out.?of.?memory(?! killer)", re.IGNORECASE)  # Ray's words, in several errors
FOR_MEMORY = "Ray ended it, because its machine was short of memory"


def is_for_memory(error: Exception) -> bool:
    """Whether Ray ended a process because its machine was short of memory."""
    return bool(LOW_ON_MEMORY.search(f"{type(error).__name__}: {error}"))


def name_loss(error: Exception) -> str:
    """The cause in words, or else Ray's name of it."""
    return FOR_MEMORY if is_for_memory(error) else type(error).__name__
