"""A trained model with its block's context switched off: what is the context worth?"""

from __future__ import annotations

from copy import deepcopy

from segviz.models.blocks import NoContext
from segviz.models.segmenter import BlockNetwork


def has_context(model: BlockNetwork) -> bool:
    """Whether the model's block gathers anything at all; `fcn` does not."""
    return not isinstance(model.block, NoContext)


def without_context(model: BlockNetwork) -> BlockNetwork:
    """A copy of a trained model in which no cell of the block's output depends on other cells of its input.

    The weights that let the context in are set to zero (`ContextBlock.switch_off`); everything else stays as it was
    trained. AttaNet's gate stays too: it is part of the reduction before the block.

    Raises:
        ValueError: the model has no context.
    """
    if not has_context(model):
        raise ValueError("this model has no context to switch off; score it as it is")
    copy = deepcopy(model)
    copy.block.switch_off()
    return copy


def block_gammas(model: BlockNetwork) -> dict[str, float]:
    """The trained factors by which the context enters, by parameter name; empty for blocks without a scalar gamma."""
    return {name: value.item() for name, value in model.named_parameters() if name.endswith("gamma")}
