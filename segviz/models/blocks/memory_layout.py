"""The layout in which batched products need no copies: channels last, for features and for their gradients.

A CPU's batched product takes matrices in which one of the two strides is 1. It copies any other operand matrix by matrix,
and where threads share a core, each copy waits for all of them. With channels last, every row and every column of a
grid is such a matrix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def to_channels_last(x: Tensor) -> Tensor:
    """(batch, channels, height, width) features in channels_last, and so their gradient; no copy of what is so already."""
    return _ChannelsLast.apply(x) if x.requires_grad else x.contiguous(memory_format=torch.channels_last)  # type: ignore[no-any-return, no-untyped-call]


def in_layout_of(x: Tensor, like: Tensor) -> Tensor:
    """The features x, row by row if `like` is, else in channels_last; their gradient arrives in channels_last."""
    x = to_channels_last(x)
    return x.contiguous() if like.is_contiguous() else x


class _ChannelsLast(torch.autograd.Function):
    """`Tensor.contiguous` alone would hand the gradient on in any layout."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return to_channels_last(gradient)
