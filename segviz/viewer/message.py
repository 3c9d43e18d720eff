"""A map on its way to the browser, before it is bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Message:
    """A map before it is packed: the kind's name, its tensors, and the other values that the browser needs."""

    kind: str
    grid: tuple[int, int]
    tensors: dict[str, Tensor]
    extra: dict[str, Any]
