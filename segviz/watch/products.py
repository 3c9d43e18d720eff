"""Follows products of two tensors to the softmax that makes attention of them, whatever lies in between."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from segviz.watch.einsum import einsum_factors, einsum_operands, read_equation

PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "linalg_matmul", "bmm", "mm", "baddbmm", "addmm", "einsum"}
FACTORS = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "multiply_"}
DIVISORS = {
    "div",
    "div_",
    "__truediv__",
    "__itruediv__",
    "__div__",
    "__idiv__",
    "true_divide",
    "true_divide_",
    "divide",
}
CHANGES = {
    "add", "add_", "__add__", "__radd__", "__iadd__", "sub", "sub_", "__sub__", "__isub__", "subtract", "subtract_",
    "masked_fill", "masked_fill_", "where", "clamp", "clamp_", "clip", "clip_", "nan_to_num", "__setitem__",
}  # fmt: skip
RESHAPES = {
    "view", "reshape", "unsqueeze", "squeeze", "contiguous", "clone", "float", "half", "bfloat16", "to", "type",
    "type_as", "flatten", "unflatten", "expand", "view_as", "reshape_as", "dropout", "dropout_", "detach", "alias",
    "unsqueeze_", "squeeze_", "detach_",
}  # fmt: skip
SWAPS = {"transpose", "transpose_", "swapaxes", "swapaxes_", "swapdims", "swapdims_", "permute", "t", "t_", "mT", "T"}
LAST_TWO = (-2, -1)
Shape = tuple[int, ...]
# Names of arguments that count here, in the order of torch's signatures; x, a, x1, x2 and axis are NumPy's names.
ARGUMENTS = (
    "condition", "input", "x", "a", "x1", "self", "mask", "mat1", "batch1", "batch2", "mat2", "other", "x2", "value",
    "dim", "axis", "dim0", "dim1", "axis0", "axis1", "dims", "rounding_mode",
)  # fmt: skip


@dataclass(frozen=True)
class Product:
    """A tensor that came from `rows columns^T`.

    Attributes:
        rows: (*leading, n, dim).
        columns: (*leading, m, dim).
        path: the module that formed it.
        scale: what the product was multiplied by since.
        axes: of the tensor, counted from its end: that of n and that of m. The others are the leading ones in order.
        changed: whether something was added to it, or it was masked.
        flat: whether the last two axes are one now.
    """

    rows: Tensor
    columns: Tensor
    path: str
    scale: float = 1.0
    axes: tuple[int, int] = LAST_TWO
    changed: bool = False
    flat: bool = False

    @property
    def sides(self) -> tuple[int, int]:
        """The sizes of the tensor's two axes, in its order."""
        pair = self.rows.shape[-2], self.columns.shape[-2]
        return pair if self.axes[0] < self.axes[1] else pair[::-1]

    def leading(self, shape: Shape) -> Shape:
        """The sizes of the leading axes of a tensor of this shape."""
        return tuple(size for axis, size in enumerate(shape) if axis - len(shape) not in self.axes)

    def multiply(self, factor: object, divide: bool, shape: Shape) -> Product | None:
        """The product, a tensor of this shape, after a factor; None for factors that differ within a matrix."""
        if isinstance(factor, Tensor) and factor.numel() > 1:
            if factor.dim() > len(shape):
                return None
            factor = factor.reshape((1,) * (len(shape) - factor.dim()) + tuple(factor.shape))
            if any(factor.shape[axis] != 1 for axis in self.axes):
                return None
            rows, columns = self.factors(shape)
            factor = factor.movedim(self.axes, LAST_TWO)
            return replace(self, rows=rows / factor if divide else rows * factor, columns=columns)
        number = float(factor)  # type: ignore[arg-type]
        return replace(self, scale=self.scale / number if divide else self.scale * number)

    def factors(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """Rows and columns with the leading axes of a tensor of this shape."""
        own, leading = torch.broadcast_shapes(self.rows.shape[:-2], self.columns.shape[:-2]), self.leading(shape)
        rows, columns = (one.expand(*own, *one.shape[-2:]) for one in (self.rows, self.columns))
        return rows.reshape(*leading, *rows.shape[-2:]), columns.reshape(*leading, *columns.shape[-2:])


@dataclass(frozen=True)
class UnreadProduct:
    """A tensor that came from an einsum of a form that is not read."""

    equation: str


Tracked = Any  # a Product, an UnreadProduct, or whatever a recorder makes of its softmax


class Tracks:
    """What is known of tensors, by identity, for as long as these live."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Tracked]] = {}

    def __bool__(self) -> bool:
        """Whether anything is known of any tensor."""
        return bool(self._known)

    def get(self, tensor: object) -> Tracked:
        """What is known of a tensor; None if nothing."""
        entry = self._known.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def put(self, tensor: object, value: Tracked) -> None:
        """Remember something of a tensor, or forget it if the value is None."""
        key = id(tensor)
        if value is None:
            self._known.pop(key, None)
        elif isinstance(tensor, Tensor):
            self._known[key] = weakref.ref(tensor, lambda dead: self._forget(key, dead)), value

    def _forget(self, key: int, dead: weakref.ref[Tensor]) -> None:
        entry = self._known.get(key)
        if entry is not None and entry[0] is dead:
            del self._known[key]


def order_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of a function of torch in the order of its signature, also those that were given by name.

    Those of `ARGUMENTS` that are None, and all others, are left out.
    """
    return *args, *(kwargs[name] for name in ARGUMENTS if kwargs.get(name) is not None)


def form_product(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], path: str
) -> Product | UnreadProduct | None:
    """The product that a function forms, if it is one of two tensors of at least two axes, or an einsum.

    Args:
        name: the function's.
        args: all arguments, see `order_arguments`.
        kwargs: those that were given by name: the factors of `baddbmm` and `addmm`.
        path: the module that calls it.
    """
    if name == "einsum":
        operands = einsum_operands(args)
        if len(operands) < 2:
            return None
        factors = einsum_factors(read_equation(args[0], operands), operands)
        return UnreadProduct(args[0]) if factors is None else Product(*factors[:2], path, axes=factors[2])
    tensors = [value for value in args if isinstance(value, Tensor)]
    if name in ("baddbmm", "addmm") and len(tensors) == 3:
        scale = float(kwargs.get("alpha", 1))
        return Product(tensors[1], tensors[2].mT, path, scale, changed=kwargs.get("beta", 1) != 0)
    if len(tensors) != 2 or min(one.dim() for one in tensors) < 2:
        return None
    left, right = reversed(tensors) if name == "__rmatmul__" else tensors
    return Product(left, right.mT, path)


def follow(name: str, product: Product, args: Sequence[Any], value: Tensor, result: object) -> Product | None:
    """What a function makes of a tensor that came from a product; None where it can no longer be followed.

    Args:
        name: the function's.
        product: what is known of one of its arguments.
        args: all of them, see `order_arguments`.
        value: that argument.
        result: what it returned.
    """
    if not isinstance(result, Tensor) or result.dim() < 2 - product.flat:
        return None
    before, after = tuple(value.shape), tuple(result.shape)
    if name in RESHAPES:
        return follow_reshape(product, before, after)
    if product.flat:
        return replace(product, changed=True) if name in FACTORS | DIVISORS | CHANGES else None
    if name in FACTORS | DIVISORS:
        others = [one for one in args if one is not value]
        if len(others) != 1 or (name in DIVISORS and args[0] is others[0]):
            return None
        return product.multiply(others[0], name in DIVISORS, before)
    if name in CHANGES:
        return replace(product, changed=True)
    return follow_swap(product, axis_order(name, args, result.dim()), after) if name in SWAPS else None


def follow_reshape(product: Product, before: Shape, after: Shape) -> Product | None:
    """A product whose two axes are kept, or whose last two become one, or are two again."""
    rows, columns = (None, None) if product.flat else (find_axis(axis, before, after) for axis in product.axes)
    if rows is not None and columns is not None:
        moved = replace(product, axes=(rows, columns))
        pair = after[min(rows, columns)], after[max(rows, columns)]
        return moved if rows != columns and pair == moved.sides else None
    if product.flat and after[-2:] == product.sides:
        return replace(product, flat=False)
    flat = min(product.sides) > 1 and after[-1] == math.prod(product.sides) and set(product.axes) == set(LAST_TWO)
    return replace(product, flat=True) if flat else None


def find_axis(axis: int, before: Shape, after: Shape) -> int | None:
    """Where an axis is after a reshape, counted from the end: as long, with as many numbers behind it; None if cut."""
    behind = math.prod(before[len(before) + axis + 1 :])
    found = [
        place - len(after)
        for place, size in enumerate(after)
        if size == before[axis] and math.prod(after[place + 1 :]) == behind
    ]
    if axis in found:
        return axis
    return found[-1] if found else None


def follow_swap(product: Product, order: Sequence[int], after: Shape) -> Product:
    """A product after a transposition.

    Args:
        product: what it was.
        order: which axis each new one was.
        after: the shape that the tensor has now.
    """
    count = len(order)
    before = tuple(after[order.index(axis)] for axis in range(count))
    rows, columns = (axis + count for axis in product.axes)
    axes = order.index(rows) - count, order.index(columns) - count
    leading = [axis for axis in order if axis not in (rows, columns)]
    if leading == sorted(leading):
        return replace(product, axes=axes)
    places = [sorted(leading).index(axis) for axis in leading]
    first, second = (one.permute(*places, *LAST_TWO) for one in product.factors(before))
    return replace(product, rows=first, columns=second, axes=axes)


def axis_order(name: str, args: Sequence[Any], count: int) -> list[int]:
    """Which axis of a tensor of so many axes each axis of its transposition is, by a function of `SWAPS`."""
    order = list(range(count))
    if name in ("T", "t", "t_"):
        return order[::-1]
    if name == "mT":
        return [*order[:-2], count - 1, count - 2]
    axes = args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
    axes = [int(axis) % count for axis in axes]
    if name == "permute":
        return axes
    first, second = axes
    order[first], order[second] = second, first
    return order


@lru_cache(maxsize=4096)
def function_name(function: Callable[..., Any]) -> str:
    """A function's name; for the getter of a tensor's attribute, such as `mT`, the attribute's."""
    name: str = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
    return name
