"""Influence: which cells of a block's input an answer depends on, through the block's context alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.models.blocks.context_block import ContextBlock

BlockAnswer = Callable[[Float[Tensor, "batch wide height width"]], Float[Tensor, ""]]


def measure_influence(
    block: ContextBlock, features: Float[Tensor, "1 channels height width"], answer: BlockAnswer
) -> Float[Tensor, "height width"]:
    """How strongly each cell of a block's input moves an answer through the block's context.

    `sum_c |d answer / d x_c|`, with every path of x that bypasses the context detached: features that are added to the
    context, or stand beside it, are held fixed. It has the answer's unit over the features' and is exactly 0 where the
    context does not read. The block and its parameters' gradients stay as they are. One forward and one backward pass
    through block and answer.

    Args:
        block: the block, in eval mode.
        features: the block's input.
        answer: a number made from the block's output features; what else it depends on is held fixed.

    Raises:
        ValueError: the block is in training mode, or the answer is not a single number.
    """
    return measure_influences(block, features, answer)[0]


def measure_influences(
    block: ContextBlock, features: Float[Tensor, "batch channels height width"], answer: BlockAnswer
) -> Float[Tensor, "batch height width"]:
    """`measure_influence` for a batch, whose answer is the sum of the pictures' answers: pictures do not mix.

    Raises:
        ValueError: the block is in training mode, or the answer is not a single number.
    """
    if block.training:
        raise ValueError("the block is in training mode, where pictures mix; call eval() first")
    with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
        x = features.clone().detach().requires_grad_()
        number = answer(block(x, x.detach()).features)
        if number.numel() != 1:
            raise ValueError(f"the answer has {number.numel()} numbers; give one, such as the score of one class")
        if not number.requires_grad:  # no context: nothing reaches the answer
            return x.new_zeros(x.shape[0], *x.shape[2:])
        (slopes,) = torch.autograd.grad(number, x, allow_unused=True, materialize_grads=True)
    return slopes.abs().sum(1)
