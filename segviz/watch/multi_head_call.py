"""`F.multi_head_attention_forward`, whose projections happen inside one call: the same factors once more."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segviz.watch.call import ROWS_TO_CHECK, AttentionCall, relative_difference, spread_indices

MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)


def bind_multi_head(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a call by name."""
    bound = MULTI_HEAD.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def additive(mask: Tensor | None) -> Tensor | None:
    """A mask as numbers to add: a boolean one allows where it is true."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)


def project_heads(call: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of `F.multi_head_attention_forward` as (batch, heads, tokens, dim)."""
    inputs = [one if one.dim() == 3 else one[:, None] for one in (call["query"], call["key"], call["value"])]
    if call["use_separate_proj_weight"]:
        weights = [call["q_proj_weight"], call["k_proj_weight"], call["v_proj_weight"]]
    else:
        weights = list(call["in_proj_weight"].chunk(3))
    biases = [None] * 3 if call["in_proj_bias"] is None else call["in_proj_bias"].chunk(3)
    projected = [F.linear(*each) for each in zip(inputs, weights, biases, strict=True)]
    queries, keys, values = (one.unflatten(2, (call["num_heads"], -1)).permute(1, 2, 0, 3) for one in projected)
    return queries, keys, values


def multi_head_bias(call: Mapping[str, Any], leading: tuple[int, ...]) -> Tensor | None:
    """The masks of `F.multi_head_attention_forward` as one bias; in its boolean masks, true forbids."""
    masks = []
    for mask in (call["attn_mask"], call["key_padding_mask"]):
        masks.append(additive(~mask) if mask is not None and mask.dtype == torch.bool else mask)
    attention, padding = masks
    if attention is not None and attention.dim() == 3:
        attention = attention.unflatten(0, leading)
    if padding is not None:
        padding = padding.reshape(leading[0], 1, 1, -1)
    if attention is None or padding is None:
        return padding if attention is None else attention
    return attention + padding


def multi_head_difference(one: AttentionCall, values: Tensor, call: Mapping[str, Any], output: Tensor) -> float:
    """How far the factors' output is from the call's: for some tokens of some images, with all heads."""
    output = output if output.dim() == 3 else output[:, None]
    batch, heads = one.leading
    images = spread_indices(batch, ROWS_TO_CHECK, output.device)
    rows = spread_indices(one.tokens, ROWS_TO_CHECK, output.device)
    groups = images.repeat_interleave(heads), torch.arange(heads, device=output.device).repeat(len(images))
    mixed = one.weights_at(groups, rows) @ values[groups].float()  # (images x heads, rows, dim)
    joined = mixed.unflatten(0, (len(images), heads)).transpose(1, 2).flatten(2)
    bias = call["out_proj_bias"]
    found = F.linear(joined, call["out_proj_weight"].float(), None if bias is None else bias.float())
    return relative_difference(found, output[rows][:, images].transpose(0, 1).float())
