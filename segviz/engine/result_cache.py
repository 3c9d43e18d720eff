"""Results kept for whoever asks the same again, bounded in bytes."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from segviz.engine.request import Result


class Cache:
    """Results by key; those unused for longest go when the bytes exceed the bound. Its owner holds the lock.

    Args:
        limit: bytes in all; a result larger than that is not kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._kept: OrderedDict[str, tuple[Result, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Result | None:
        """The result, which counts as used; None where it is not kept."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: str, result: Result) -> None:
        """Keep a result, and make room for it."""
        size = size_of(result.value)
        if key in self._kept or size > self.limit:
            return
        self._kept[key] = (result, size)
        self.bytes += size
        while self.bytes > self.limit:
            self.bytes -= self._kept.popitem(last=False)[1][1]


def size_of(value: object) -> int:
    """Bytes that a value's arrays keep alive; memory that several share counts once."""
    held: dict[int, int] = {}
    for _, array in arrays_of(value):
        if isinstance(array, Tensor):
            held[array.untyped_storage().data_ptr()] = array.untyped_storage().nbytes()
        else:
            held[array.__array_interface__["data"][0]] = array.nbytes
    return sum(held.values())


def arrays_of(value: object, name: str = "") -> Iterator[tuple[str, np.ndarray | Tensor]]:
    """All arrays and tensors inside dataclasses and mappings, with the names that lead to them."""
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
