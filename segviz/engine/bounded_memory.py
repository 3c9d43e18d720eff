"""A bound on the memory of a network about which nothing is known: it ends before it takes too much."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segviz.engine.errors import TooLargeError
from segviz.settings import MIB

MATRIX_PRODUCTS = {"aten::mm": 0, "aten::bmm": 0, "aten::addmm": 1, "aten::baddbmm": 1}  # where their two factors begin
BROADCASTS = frozenset(f"aten::{name}" for name in ("add", "sub", "mul", "div", "pow", "where", "maximum", "minimum"))


class BoundedMemory(TorchDispatchMode):
    """Counts the tensors that operations of this thread make while it is active, and refuses more than `limit` bytes.

    A product or a broadcast is measured before it is made: N x N logits of a large picture must not end the process.
    What an operation takes inside and gives back is not seen.

    Attributes:
        limit: bytes of all tensors that are alive at once; the network's weights do not count.
        peak: the most bytes so far.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit, self.live, self.peak = limit, 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count what it makes.

        Raises:
            TooLargeError: it makes too much.
        """
        self._check(expected_bytes(func, args))
        result = func(*args, **(kwargs or {}))
        given = {storage_key(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and (key := storage_key(one)) is not None and key not in given | self._known:
                self._add(one, key)
        return result

    def _add(self, tensor: Tensor, key: int) -> None:
        storage = tensor.untyped_storage()
        size = storage.nbytes()
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._remove, key, size).atexit = False
        self._check(0)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size

    def _check(self, more: int) -> None:
        if self.live + more > self.limit:
            raise TooLargeError(
                f"the network needs more than the {self.limit // MIB} MiB that are allowed; show it a smaller picture, "
                "give it a smaller size, or raise SEGVIZ_MEMORY_MB on the server"
            )


def storage_key(tensor: Tensor) -> int | None:
    """What identifies a tensor's memory; None where it has none of its own, such as sparse tensors."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def expected_bytes(func: Any, args: Sequence[Any]) -> int:
    """The bytes of a product's result, or of a broadcast of several tensors; 0 for other operations."""
    name = func._schema.name
    if name in MATRIX_PRODUCTS:
        left, right = args[MATRIX_PRODUCTS[name] : MATRIX_PRODUCTS[name] + 2]
        return int(left.numel() // max(1, left.shape[-1]) * right.shape[-1] * left.element_size())
    tensors = [one for one in args if isinstance(one, Tensor)]
    if name not in BROADCASTS or len(tensors) < 2:
        return 0
    try:
        shape = torch.broadcast_shapes(*(one.shape for one in tensors))
    except RuntimeError:
        return 0
    return int(math.prod(shape) * tensors[0].element_size())
