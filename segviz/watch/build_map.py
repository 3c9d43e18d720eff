"""From an attention call and the layout of its tokens to a map: factors in float32 on the CPU, and nothing N x N."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.maps import NetworkMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention
from segviz.watch.biases import fold_separable, offset_table, simplify, split_mask
from segviz.watch.call import AttentionCall
from segviz.watch.grids import DECLARE_IT, NotShownError, fit_tokens
from segviz.watch.layout import ObjectQueries, TokenLayout, Tokens, Windows
from segviz.watch.record import Declaration

MOST_BIASES = 2**26  # numbers of a bias that has no simpler form: 256 MiB


def copy_factor(tensor: Tensor) -> Tensor:
    """A copy of a factor for the map: float32, on the CPU."""
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def build_map(call: AttentionCall, layout: TokenLayout, seen: Grid, covers: Cover) -> NetworkMap:
    """The map of a call.

    Raises:
        NotShownError: the layout does not suit the call, or its bias is too large to keep.
    """
    match layout:
        case Tokens():
            return dense_map(call, layout, covers)
        case Windows():
            return windowed_map(call, layout, covers)
        case ObjectQueries():
            key_grid, prefix = layout.key_grid, layout.key_prefix
            if key_grid is None:
                found = fit_tokens(call.key_tokens, seen, call.running, None, "keys")
                key_grid, prefix = found.grid, found.prefix
            queries, keys, bias = single_image(call)
            bias = None if bias is None else simplify(bias.detach().float())
            return ObjectQueryAttention(
                call.path,
                key_grid,
                copy_factor(queries),
                copy_factor(keys),
                call.scale,
                prefix,
                None if bias is None else copy_factor(bias),
                covers=covers,
            )
        case _:
            assert_never(layout)


def single_image(call: AttentionCall) -> tuple[Tensor, Tensor, Tensor | None]:
    """Queries and keys as (heads, tokens, dim), and the bias as (heads or 1, tokens or 1, key tokens).

    Raises:
        NotShownError: the leading axes hold more than heads, or the bias does not fit the heads.
    """
    heads = call.leading[-1] if call.leading else 1
    if torch.Size(call.leading).numel() != heads:
        raise NotShownError(f"its leading axes are {call.leading}, of which only the last can be heads; {DECLARE_IT}")
    queries, keys = (one.reshape(heads, *one.shape[-2:]) for one in (call.queries, call.keys))
    bias = call.bias
    if bias is not None:
        bias = bias.reshape((1,) * max(0, 3 - bias.dim()) + tuple(bias.shape))
        bias = bias.reshape(-1, *bias.shape[-2:])
        if len(bias) not in (1, heads):
            raise NotShownError(f"its bias has {len(bias)} parts for {heads} heads; {DECLARE_IT}")
        bias = bias.expand(len(bias), bias.shape[1], call.key_tokens)
    return queries, keys, bias


def in_order(
    layout: Tokens, queries: Tensor, keys: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Factors and bias of one image in the order of a map: prefix tokens, then the cells row by row.

    Raises:
        NotShownError: the recipe expects other tokens.
    """
    for order, tokens in ((layout.order, queries), (layout.key_order, keys)):
        if order is not None and int(order.max()) + 1 != tokens.shape[1]:
            raise NotShownError(
                f"its recipe expects {int(order.max()) + 1} tokens; it has {tokens.shape[1]}; {DECLARE_IT}"
            )
    if layout.order is not None:
        queries = queries[:, layout.order]
        bias = bias[:, layout.order] if bias is not None and bias.shape[1] > 1 else bias
    if layout.key_order is not None:
        keys = keys[:, layout.key_order]
        bias = None if bias is None else bias[:, :, layout.key_order]
    return queries, keys, bias


def dense_map(call: AttentionCall, layout: Tokens, covers: Cover) -> MultiHeadAttention:
    """Dense attention, with its bias in the simplest form that holds it.

    Raises:
        NotShownError: as in `single_image` and `in_order`, or the bias is too large and has no simple form.
    """
    queries, keys, bias = in_order(layout, *single_image(call))
    queries, keys, scale, table = copy_factor(queries), copy_factor(keys), call.scale, None
    bias = None if bias is None else simplify(bias.detach().float())
    if bias is not None and bias.shape[1] > 1:
        table = offset_table(bias, layout.grid, layout.key_grid, layout.prefix, layout.key_prefix)
        if table is not None:
            bias = None
        else:
            folded = fold_separable(queries * scale, keys, bias, layout.key_grid, layout.key_prefix)
            if folded is not None:
                (queries, keys), scale, bias = folded, 1.0, None
    if bias is not None and bias.numel() > MOST_BIASES:
        raise NotShownError(f"its bias has {bias.numel()} numbers and no simple form; show a smaller picture")
    kept = (None if one is None else copy_factor(one) for one in (bias, table))
    return MultiHeadAttention(
        call.path,
        layout.grid,
        layout.key_grid,
        queries,
        keys,
        scale,
        layout.prefix,
        layout.key_prefix,
        *kept,
        covers=covers,
        cell_tokens=None if layout.order is None else tuple(layout.order[layout.prefix :].tolist()),
    )


def windowed_map(call: AttentionCall, layout: Windows, covers: Cover) -> WindowedAttention:
    """Attention within windows.

    Raises:
        NotShownError: the call has other windows or tokens than the recipe expects.
    """
    count, tokens = layout.query_places.shape
    groups = torch.Size(call.leading).numel()
    if groups % count or tokens != call.tokens or layout.key_places.shape != (count, call.key_tokens):
        raise NotShownError(
            f"its recipe expects {count} windows of {tokens} tokens; it has {groups} groups of "
            f"{call.tokens}; {DECLARE_IT}"
        )
    heads = groups // count
    first = layout.axis == 0

    def arrange(tensor: Tensor) -> Tensor:
        pair = (count, heads) if first else (heads, count)
        tensor = tensor.reshape(*pair, *tensor.shape[-2:])
        return tensor if first else tensor.transpose(0, 1)

    queries, keys = copy_factor(arrange(call.queries)), copy_factor(arrange(call.keys))
    bias = mask = None
    if call.bias is not None:
        full = call.bias.expand(*call.leading, call.tokens, call.key_tokens)
        bias, mask = split_mask(arrange(full.detach().float()))
    return WindowedAttention(
        call.path,
        layout.grid,
        layout.key_grid,
        queries,
        keys,
        layout.query_places.cpu(),
        layout.key_places.cpu(),
        call.scale,
        None if bias is None else copy_factor(bias),
        None if mask is None else copy_factor(mask),
        layout.window,
        layout.shift,
        covers=covers,
        cell_tokens=layout.cell_tokens,
    )


def build_linear(path: str, declaration: Declaration, layout: Tokens, covers: Cover) -> LinearAttention:
    """The map of declared features of a linear attention."""
    assert declaration.queries is not None and declaration.keys is not None
    queries, keys = (copy_factor(with_heads(one)) for one in (declaration.queries, declaration.keys))
    if declaration.kind == "relu-linear":
        queries, keys = queries.relu(), keys.relu()
    return LinearAttention(path, layout.grid, layout.key_grid, queries, keys, declaration.epsilon, covers=covers)


def build_matrix(path: str, weights: Tensor, layout: Tokens, covers: Cover) -> MatrixAttention:
    """The map of declared weights."""
    return MatrixAttention(
        path,
        layout.grid,
        layout.key_grid,
        copy_factor(with_heads(weights)),
        layout.prefix,
        layout.key_prefix,
        covers=covers,
    )


def with_heads(tensor: Tensor) -> Tensor:
    """The first image of (batch, heads, tokens, dim), or of (batch, tokens, dim) with one head.

    Raises:
        NotShownError: it has other axes.
    """
    if tensor.dim() not in (3, 4) or len(tensor) != 1:
        raise NotShownError(f"{tuple(tensor.shape)} was declared; give (1, heads, tokens, dim) or (1, tokens, dim)")
    return tensor[0] if tensor.dim() == 4 else tensor
