"""The softmax of a product until its weights are multiplied by values, and whether that product sums the right axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from segviz.watch.call import AttentionCall
from segviz.watch.einsum import einsum_operands, read_equation
from segviz.watch.grids import DECLARE_IT
from segviz.watch.products import RESHAPES, SWAPS, Shape, axis_order

Axes = frozenset[int]  # of a tensor

CHANGED = "its weights are changed between the softmax and the product"
OTHER_AXIS = (
    "its weights sum to 1 along a different axis from the one that its product with the values sums over, as when a "
    "transpose was forgotten: transpose the weights, or declare the matrix as it is used with "
    "segviz.record(self, weights=...)"
)
LOST_AXIS = f"which axis of its weights sums to 1 could not be followed to the product; {DECLARE_IT}"


@dataclass(frozen=True)
class PendingCall:
    """The softmax of a product, until something is multiplied by it.

    Attributes:
        call: the attention, with copies of its factors: a network may change its own before it is kept.
        difference: how far the factors are from the weights.
        number: counts the softmaxes of a pass.
        axes: the axes of the tensor of weights that sum to 1 together, without those of size 1; None if lost.
        shape: of that tensor.
        version: of that tensor, which every change in place raises; None where torch does not count.
        changed: whether its numbers were changed.
    """

    call: AttentionCall
    difference: float
    number: int
    axes: Axes | None
    shape: Shape
    version: int | None
    changed: bool = False

    def follow(self, name: str, args: Sequence[Any], weights: Tensor, result: Tensor) -> PendingCall:
        """The same after a function that takes the weights, by its name and all its arguments in order."""
        kept = name in RESHAPES | SWAPS
        changed = self.changed or not kept or (not name.endswith("_") and self.is_stale(weights))
        shape = tuple(result.shape)
        axes = move_axes(name, self.axes, args, self.shape, shape) if kept and self.axes else self.axes
        return replace(self, axes=axes, shape=shape, version=version_of(result), changed=changed)

    def is_stale(self, weights: Tensor) -> bool:
        """Whether the weights were changed in place by what was not followed, such as through a view of them."""
        return version_of(weights) != self.version

    def why_not_shown(self, name: str, args: Sequence[Any], weights: Tensor) -> str:
        """Why a product of the weights is no attention that can be shown; empty if it is."""
        if self.changed or self.is_stale(weights):
            return CHANGED
        if self.axes is None or self.shape != tuple(weights.shape):
            return LOST_AXIS
        summed = frozenset(axis for axis in summed_axes(name, args, weights) if weights.shape[axis] > 1)
        return "" if summed == self.axes else OTHER_AXIS


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor, or what it is a view of, was changed in place; None where torch does not count it."""
    return None if tensor.is_inference() else tensor._version


def axes_of(tensor: Tensor, axis: int) -> Axes:
    """One axis, or none if its size is 1."""
    return frozenset({axis} if tensor.shape[axis] > 1 else ())


def move_axes(name: str, axes: Axes, args: Sequence[Any], before: Shape, after: Shape) -> Axes | None:
    """Where axes of a tensor are after a function of `RESHAPES` or `SWAPS`; None where they are no axes any more."""
    if name in SWAPS:
        order = axis_order(name, args, len(after))
        return frozenset(order.index(axis) for axis in axes)
    if before == after:
        return axes
    count = math.prod(before[axis] for axis in axes)
    if math.prod(before) != math.prod(after):  # expanded: axes are counted from the last
        moved = frozenset(axis + len(after) - len(before) for axis in axes)
        return moved if math.prod(after[axis] for axis in moved) == count else None
    first, last = min(axes), max(axes)
    if any(before[axis] > 1 for axis in range(first, last) if axis not in axes):
        return None
    outer, passed, found = math.prod(before[:first]), 1, []
    for axis, size in enumerate(after):
        if size > 1 and passed >= outer and passed * size <= outer * count:
            found.append(axis)
        passed *= size
    return frozenset(found) if math.prod(after[axis] for axis in found) == count else None


def summed_axes(name: str, args: Sequence[Any], weights: Tensor) -> Axes:
    """The axes of the weights that a product, by its name and all its arguments in order, sums with another factor."""
    if name == "einsum":
        operands = einsum_operands(args)
        number = next(index for index, one in enumerate(operands) if one is weights)
        return read_equation(args[0], operands).summed_of(number)
    *_, left, right = (one for one in args if isinstance(one, Tensor))
    if name == "__rmatmul__":
        left, right = right, left
    if left is weights:
        return frozenset({weights.dim() - 1})
    return frozenset({max(0, weights.dim() - 2)}) if right is weights else frozenset()
