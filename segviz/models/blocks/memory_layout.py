"""The layouts in which batched products need no copies, for operands and for their gradients.

A CPU's batched product takes matrices in which one of the two strides is 1. Any other operand it copies matrix by
matrix, and where threads share a core, each of these copies waits for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def to_channels_last(x: Tensor) -> Tensor:
    """(batch, channels, height, width) in channels_last, in which every row and every column is a fit operand.

    The gradient arrives in it, too. What is in it already is not copied.
    """
    return with_layout(x, lambda one: one.contiguous(memory_format=torch.channels_last))


def as_matrices(x: Tensor) -> Tensor:
    """Matrices along the last two dimensions, of which one has stride 1; so have the gradient's. One copy at most."""
    return with_layout(x, lambda one: one if 1 in one.stride()[-2:] else one.contiguous())


def with_layout(x: Tensor, layout: Callable[[Tensor], Tensor]) -> Tensor:
    """The tensor, and its gradient, as `layout` arranges them."""
    return _WithLayout.apply(x, layout) if x.requires_grad else layout(x)


class _WithLayout(torch.autograd.Function):
    """`Tensor.contiguous` alone would hand the gradient on in any layout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.layout = layout
        return layout(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return with_layout(gradient, ctx.layout), None
