"""Reads the equations of einsum: which axes of its operands are kept, shared and summed."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Equation:
    """The labels of the axes of each operand and of the result; each axis under `...` has a digit for a label."""

    operands: tuple[str, ...]
    output: str

    def summed_of(self, number: int) -> frozenset[int]:
        """The axes of an operand, given by its number, that are multiplied with another operand's and summed."""
        others = "".join(one for index, one in enumerate(self.operands) if index != number)
        labels = self.operands[number]
        return frozenset(axis for axis, one in enumerate(labels) if one in others and one not in self.output)


def einsum_operands(args: Sequence[Any]) -> tuple[Tensor, ...]:
    """The tensors of an einsum, which may be given one by one or as a list."""
    return tuple(args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:])


def read_equation(equation: str, operands: Sequence[Tensor]) -> Equation:
    """The labels of an equation that torch has accepted, with `...` and an output that is left out spelled out."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    labels = inputs.split(",")
    counts = [tensor.dim() - len(one.replace("...", "")) for tensor, one in zip(operands, labels, strict=True)]
    hidden = string.digits[: max(counts)]
    if not arrow:
        single = sorted(one for one in set(inputs) if one.isalpha() and inputs.count(one) == 1)
        output = "..." + "".join(single)
    spelled = (one.replace("...", hidden[len(hidden) - count :]) for one, count in zip(labels, counts, strict=True))
    return Equation(tuple(spelled), output.replace("...", hidden))


def find_free(equation: Equation) -> tuple[str, str] | None:
    """The labels, in the result's order, of the axis that each of two operands has alone: its tokens.

    Where an operand has several, those that come last in the result count. None where there are no such two.
    """
    if len(equation.operands) != 2:
        return None
    first, second = (set(one) & set(equation.output) for one in equation.operands)
    own = [one for one in equation.output if (one in first) != (one in second)]
    pair = own if len(own) == 2 else list(equation.output[-2:])
    if len(pair) != 2 or not set(pair) <= set(own) or (pair[0] in first) == (pair[1] in first):
        return None
    return pair[0], pair[1]


def einsum_factors(equation: Equation, operands: Sequence[Tensor]) -> tuple[Tensor, Tensor, tuple[int, int]] | None:
    """The factors `rows` (*leading, n, dim) and `columns` (*leading, m, dim) whose product an einsum is.

    Leading axes that one operand lacks have size 1 in it. The two numbers are the result's axes of n and of m, counted
    from its end. None where the einsum does not sum over one axis of two tensors and keep one axis of each alone.
    """
    free = find_free(equation)
    if free is None:
        return None
    pairs = list(zip(equation.operands, operands, strict=True))
    if free[0] not in pairs[0][0]:
        pairs.reverse()
    leading = [one for one in equation.output if one not in free]
    summed = [one for one in pairs[0][0] if one in pairs[1][0] and one not in equation.output]
    if len(summed) != 1:
        return None
    factors = []
    for own, (labels, tensor) in zip(free, pairs, strict=True):
        wanted = [*leading, own, summed[0]]
        present = [one for one in wanted if one in labels]
        if sorted(present) != sorted(labels):
            return None
        factor = tensor.permute([labels.index(one) for one in present])
        for axis, one in enumerate(wanted):
            factor = factor if one in labels else factor.unsqueeze(axis)
        factors.append(factor)
    count = len(equation.output)
    return factors[0], factors[1], (equation.output.index(free[0]) - count, equation.output.index(free[1]) - count)
