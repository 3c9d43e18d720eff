"""Follows products of two tensors to the softmax that makes attention of them, whatever lies in between."""

from __future__ import annotations

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
        scale: what the product was multiplied by since.
        swapped: whether the tensor's last two axes are now (m, n).
        changed: whether something was added to it, or it was masked.
        flat: whether the last two axes are one now.
        path: the module that formed it.
    """

    rows: Tensor
    columns: Tensor
    path: str
    scale: float = 1.0
    swapped: bool = False
    changed: bool = False
    flat: bool = False

    @property
    def sides(self) -> tuple[int, int]:
        """The sizes of the tensor's last two axes."""
        pair = self.rows.shape[-2], self.columns.shape[-2]
        return pair[::-1] if self.swapped else pair

    def multiply(self, factor: object, divide: bool) -> Product | None:
        """The product after a factor; None for factors that differ within a matrix."""
        if isinstance(factor, Tensor) and factor.numel() > 1:
            if factor.dim() > self.rows.dim() or tuple(factor.shape[-2:]) != (1, 1):
                return None
            return replace(self, rows=self.rows / factor if divide else self.rows * factor)
        number = float(factor)  # type: ignore[arg-type]
        return replace(self, scale=self.scale / number if divide else self.scale * number)

    def factors(self, leading: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Rows and columns with the leading axes that the tensor has now."""
        own = torch.broadcast_shapes(self.rows.shape[:-2], self.columns.shape[:-2])
        rows, columns = (one.expand(*own, *one.shape[-2:]) for one in (self.rows, self.columns))
        rows, columns = (one.reshape(*leading, *one.shape[-2:]) for one in (rows, columns))
        return (columns, rows) if self.swapped else (rows, columns)


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
        return UnreadProduct(args[0]) if factors is None else Product(*factors, path)
    tensors = [value for value in args if isinstance(value, Tensor)]
    if name in ("baddbmm", "addmm") and len(tensors) == 3:
        scale = float(kwargs.get("alpha", 1))
        return Product(tensors[1], tensors[2].mT, path, scale, changed=kwargs.get("beta", 1) != 0)
    if len(tensors) != 2 or min(one.dim() for one in tensors) < 2:
        return None
    left, right = reversed(tensors) if name == "__rmatmul__" else tensors
    return Product(left, right.mT, path)


def follow(name: str, product: Product, args: Sequence[Any], result: object) -> Product | None:
    """What a function makes of a tensor that came from a product; None where it can no longer be followed.

    Args:
        name: the function's.
        product: what is known of one of its arguments.
        args: all of them, see `order_arguments`.
        result: what it returned.
    """
    if not isinstance(result, Tensor) or result.dim() < 2 - product.flat:
        return None
    if name in RESHAPES:
        return follow_reshape(product, result)
    if product.flat:
        return replace(product, changed=True) if name in FACTORS | DIVISORS | CHANGES else None
    if name in FACTORS | DIVISORS:
        others = [one for one in args if not (isinstance(one, Tensor) and one.shape[-2:] == product.sides)]
        if len(others) != 1 or (name in DIVISORS and args[0] is others[0]):
            return None
        return product.multiply(others[0], name in DIVISORS)
    if name in CHANGES:
        return replace(product, changed=True)
    return follow_swap(name, product, args, result) if name in SWAPS else None


def follow_reshape(product: Product, result: Tensor) -> Product | None:
    """A product whose last two axes are kept, or become one, or are two again."""
    rows, columns = product.sides
    if tuple(result.shape[-2:]) == (rows, columns):
        return replace(product, flat=False)
    return replace(product, flat=True) if min(rows, columns) > 1 and result.shape[-1] == rows * columns else None


def follow_swap(name: str, product: Product, args: Sequence[Any], result: Tensor) -> Product | None:
    """A product after a transposition that keeps the leading axes in order."""
    count = result.dim()
    *leading, first, second = axis_order(name, args, count)
    if leading != list(range(count - 2)):
        return None
    return product if first < second else replace(product, swapped=not product.swapped)


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
