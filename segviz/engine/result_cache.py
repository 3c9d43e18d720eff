"""Results kept for the next equal request, bounded in bytes."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from segviz.engine.answer import Result


class ResultCache:
    """Results by key; the least recently used leave when the bytes exceed the limit. Its owner holds the lock.

    Args:
        limit: bytes in all; a larger result is not cached.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._entries: OrderedDict[str, tuple[Result, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Result | None:
        """The result, which counts as a use, or None."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: str, result: Result) -> None:
        """Add a result, and make room for it."""
        size = size_of(result.value)
        if key in self._entries or size > self.limit:
            return
        self._entries[key] = (result, size)
        self.bytes += size
        while self.bytes > self.limit:
            self.bytes -= self._entries.popitem(last=False)[1][1]


def size_of(value: object) -> int:
    """Bytes that a value's arrays keep alive; shared memory counts once."""
    held: dict[int, int] = {}
    for _, array in arrays_of(value):
        if isinstance(array, Tensor):
            held[array.untyped_storage().data_ptr()] = array.untyped_storage().nbytes()
        else:
            held[array.__array_interface__["data"][0]] = array.nbytes
    return sum(held.values())


def arrays_of(value: object, name: str = "") -> Iterator[tuple[str, np.ndarray | Tensor]]:
    """All arrays and tensors inside dataclasses and mappings, each with its dotted path."""
    if isinstance(value, np.ndarray | Tensor):
        yield name, value
        return
    inner: Mapping[object, object] = {}
    if isinstance(value, Mapping):
        inner = value
    elif dataclasses.is_dataclass(value):
        inner = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    for key, item in inner.items():
        yield from arrays_of(item, f"{name}.{key}" if name else str(key))
