"""A trained model with its block's context switched off: what is the context worth?"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn

from segviz.models import blocks
from segviz.models.segmenter import Segmenter


def has_context(model: Segmenter) -> bool:
    """Whether the model's block gathers anything at all; `fcn` does not."""
    return not isinstance(model.block, blocks.NoContext)


def without_context(model: Segmenter) -> Segmenter:
    """A copy of a trained model in which no cell of the block's output depends on other cells of its input.

    The weights that let the context in are set to zero (see `switch_off`), everything else stays as it was trained.
    AttaNet's gate stays too: it is part of the reduction before the block.

    Raises:
        ValueError: the model has no context.
        TypeError: its block is of a kind that `switch_off` does not know.
    """
    if not has_context(model):
        raise ValueError("this model has no context to switch off; score it as it is")
    copy = deepcopy(model)
    switch_off(copy.block)
    return copy


def block_gammas(model: Segmenter) -> dict[str, float]:
    """The trained factors by which the context enters, by parameter name; none for blocks without a scalar gamma."""
    return {name: value.item() for name, value in model.named_parameters() if name.endswith("gamma")}


def switch_off(block: nn.Module) -> None:
    """Set the weights by which a block's context enters to zero, in place; x is the block's input.

    A block with gamma and SAM return x, the dual block 2x, as it sums two residuals, and EMA relu(x), which is x after
    the reduction's ReLU. PSA and the poolings return x beside zeros. So does SNL with pooling: its sparse context and
    its pooled branch both bring in other cells, so both are off. Of an atrous pyramid the 1 x 1 convolution is left.

    Raises:
        TypeError: the block is of an unknown kind.
    """
    match block:
        case blocks.DualNonLocal() | blocks.ChannelSpatialNonLocal():
            switch_off(block.spatial)
            switch_off(block.channel)
        case blocks.ChannelNonLocal() | blocks.SpatialNonLocal() | blocks.RecurrentCrissCross():
            zero((block.gamma,))
        case blocks.FullyAttentional():
            zero((block.gamma,))
        case blocks.ExpectationMaximization():
            zero(block.after[1].parameters())
        case blocks.StripAttentionModule():
            silence(block.value)
        case blocks.SparseNonLocal():
            zero(block.gamma.parameters())
        case blocks.SparseNonLocalWithPooling():
            switch_off(block.sparse)
            silence(block.pooled)
        case blocks.PointWiseSpatialAttention():
            silence(block.project)
        case blocks.GlobalPooling():
            silence(block.pooled)
        case blocks.PyramidPooling():
            for level in block.levels:
                silence(level)
        case blocks.AtrousPyramid():
            for layer in block.dilated:
                silence(layer)
            switch_off(block.pooled)
        case _:
            raise TypeError(
                f"how to switch off a {type(block).__name__} is unknown; add a case to segviz/models/ablation.py"
            )


def silence(layer: nn.Module) -> None:
    """Make a layer return zeros: its BatchNorm's weight and bias, or its convolution's where there is none."""
    last = [one for one in layer.modules() if isinstance(one, nn.Conv2d | nn.BatchNorm2d)][-1]
    zero(last.parameters())


@torch.no_grad()
def zero(parameters: Iterable[nn.Parameter]) -> None:
    """Set parameters to zero."""
    for parameter in parameters:
        parameter.zero_()
