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


def einsum_factors(equation: Equation, operands: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
    """The factors `rows` (*leading, n, dim) and `columns` (*leading, m, dim) whose product an einsum is.

    Leading axes that one operand lacks have size 1 in it. None where the einsum does not contract one axis of two
    tensors and keep one free axis of each as the last two.
    """
    if len(operands) != 2 or len(equation.output) < 2:
        return None
    pairs = list(zip(equation.operands, operands, strict=True))
    if equation.output[-2] not in pairs[0][0]:
        pairs.reverse()
    leading, summed = equation.output[:-2], [one for one in pairs[0][0] if one in pairs[1][0]]
    summed = [one for one in summed if one not in equation.output]
    if len(summed) != 1:
        return None
    factors = []
    for free, (labels, tensor) in zip(equation.output[-2:], pairs, strict=True):
        wanted = leading + free + summed[0]
        present = [one for one in wanted if one in labels]
        if sorted(present) != sorted(labels) or free not in labels:
            return None
        factor = tensor.permute([labels.index(one) for one in present])
        for axis, one in enumerate(wanted):
            factor = factor if one in labels else factor.unsqueeze(axis)
        factors.append(factor)
    return factors[0], factors[1]
