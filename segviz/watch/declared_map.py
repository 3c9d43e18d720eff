"""From what a block declared with `segviz.record` to a map. All of it is checked: nobody else looks at it."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover
from segviz.attention.maps import NetworkMap
from segviz.watch.build_map import build_linear, build_map, build_matrix
from segviz.watch.call import AttentionCall
from segviz.watch.grids import USUAL_PREFIXES, NotShownError, fit_tokens
from segviz.watch.layout import ObjectQueries, Tokens, Windows
from segviz.watch.recipes.windows import cut_windows
from segviz.watch.record import AttentionKind, Declaration

USED_BY = {  # options that would be ignored elsewhere, and the map be wrong
    "bias": ("softmax", "object-queries"),
    "window": ("softmax",),
    "epsilon": ("linear", "relu-linear", "weights"),
}


def build_declared(path: str, declaration: Declaration, seen: Grid, covers: Cover) -> NetworkMap:
    """The map that a block declared.

    Args:
        path: the map's name.
        declaration: what `segviz.record` was given.
        seen: the (height, width) at which the network sees the picture.
        covers: what part of the picture the grids cover.

    Raises:
        NotShownError: the declaration is not one of a map; the message says what to correct.
    """
    declaration = check_declaration(declaration)
    if declaration.weights is not None:
        if declaration.kind == "object-queries":
            raise NotShownError("weights of object queries were declared; give their queries and keys instead")
        weights = split_heads("weights", declaration.weights)
        cells = fit_declared_tokens(declaration, weights.shape[2], weights.shape[3], seen)
        return build_matrix(path, weights, cells, covers)
    queries, keys = pair_heads(declaration)
    call = AttentionCall(path, "declared", queries, keys, declaration.scale, declaration.bias, ())
    check_bias(call)
    if declaration.window is not None:
        return build_map(call, declared_windows(declaration, call), seen, covers)
    if declaration.kind == "object-queries":
        return build_map(call, fit_declared_keys(declaration, call.key_tokens, seen), seen, covers)
    cells = fit_declared_tokens(declaration, call.tokens, call.key_tokens, seen)
    if declaration.kind == "softmax":
        return build_map(call, cells, seen, covers)
    if cells.prefix or cells.key_prefix:
        raise NotShownError(
            "a linear attention with tokens off the picture was declared; declare the matrix with weights= instead"
        )
    return build_linear(path, replace(declaration, queries=queries * declaration.scale, keys=keys), cells, covers)


def check_declaration(declaration: Declaration) -> Declaration:
    """The same declaration with plain numbers.

    Raises:
        NotShownError: an option is missing, unknown, of a wrong type, or has no meaning for the kind.
    """
    given = {name: getattr(declaration, name) for name in ("queries", "keys", "weights", "bias")}
    found = [name for name, value in given.items() if value is not None]
    for name in found:
        check_tensor(name, given[name])
    factors = [name for name in found if name != "bias"]
    if factors not in (["queries", "keys"], ["weights"]):
        got = " and ".join(factors) or "nothing"
        raise NotShownError(f"segviz.record got {got}, and takes queries with keys, or else weights; give one of these")
    if declaration.kind not in get_args(AttentionKind):
        raise NotShownError(f"kind={declaration.kind!r} was declared; give one of {', '.join(get_args(AttentionKind))}")
    plain = replace(
        declaration,
        grid=as_sides("grid", declaration.grid),
        key_grid=as_sides("key_grid", declaration.key_grid),
        window=as_sides("window", declaration.window),
        shift=as_sides("shift", declaration.shift, least=None) or (0, 0),
        prefix=as_count("prefix", declaration.prefix),
        key_prefix=as_count("key_prefix", declaration.key_prefix),
        scale=as_number("scale", declaration.scale),
        epsilon=as_number("epsilon", declaration.epsilon),
    )
    kind = "weights" if "weights" in factors else plain.kind
    for name in ("bias", "window", *(("epsilon",) if plain.epsilon else ())):
        if getattr(plain, name) is not None and kind not in USED_BY[name]:
            raise NotShownError(f"{name}= was declared, which has no meaning for {kind}; leave it out")
    return plain


def check_tensor(name: str, value: object) -> None:
    """Refuse what cannot be a factor, weights or a bias.

    Raises:
        NotShownError: it is no tensor, or not of real numbers.
    """
    if not isinstance(value, Tensor):
        raise NotShownError(f"{name}= was declared as a {type(value).__name__}; give a tensor")
    if value.is_complex():
        raise NotShownError(f"{name}= was declared as complex numbers; give real ones")
    if name == "bias" and value.dtype == torch.bool:
        raise NotShownError("bias= was declared as a mask; give what is added: 0 where it allows, -inf elsewhere")


def as_sides(name: str, value: object, least: int | None = 1) -> Grid | None:
    """Rows and columns as whole numbers, also of NumPy's; None where none were given.

    Raises:
        NotShownError: they are not.
    """
    if value is None:
        return None
    try:
        rows, columns = (operator.index(side) for side in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise NotShownError(f"{name}={value!r} was declared; give whole numbers (rows, columns)") from None
    if least is not None and min(rows, columns) < least:
        raise NotShownError(f"{name}=({rows}, {columns}) was declared; give rows and columns of at least {least}")
    return rows, columns


def as_count(name: str, value: object) -> int:
    """A number of tokens.

    Raises:
        NotShownError: it is none.
    """
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = -1
    if count < 0:
        raise NotShownError(f"{name}={value!r} was declared; give a number of tokens, 0 or more")
    return count


def as_number(name: str, value: object) -> float:
    """One number, also in a tensor.

    Raises:
        NotShownError: it is none, or several.
    """
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise NotShownError(f"{name}= is not one number; multiply the queries by it instead") from None


def split_heads(name: str, tensor: Tensor) -> Tensor:
    """(1, heads, tokens, dim) of a tensor of that form, or without heads, or without the batch as well.

    Raises:
        NotShownError: it has other axes, or several pictures.
    """
    shape = tuple(tensor.shape)
    if len(shape) == 2:
        return tensor[None, None]
    if len(shape) not in (3, 4) or shape[0] != 1:
        last = "key tokens" if name == "weights" else "dim"
        raise NotShownError(
            f"{name} of {shape} were declared; give (1, heads, tokens, {last}) or (1, tokens, {last}), of one picture"
        )
    return tensor if len(shape) == 4 else tensor[:, None]


def pair_heads(declaration: Declaration) -> tuple[Tensor, Tensor]:
    """Queries and keys (*leading, tokens, dim) of as many heads; fewer heads of keys are shared as in grouped queries.

    Raises:
        NotShownError: they do not belong together.
    """
    assert declaration.queries is not None and declaration.keys is not None
    queries, keys = declaration.queries, declaration.keys
    if declaration.window is None:
        queries, keys = split_heads("queries", queries), split_heads("keys", keys)
    cause = f"queries of {tuple(queries.shape)} and keys of {tuple(keys.shape)} were declared"
    if min(queries.dim(), keys.dim()) < 3 or queries.dim() != keys.dim() or queries.shape[-1] != keys.shape[-1]:
        raise NotShownError(f"{cause}; give both as (batch or windows, heads, tokens, dim) with one dim")
    heads, key_heads = queries.shape[-3], keys.shape[-3]
    if queries.shape[:-3] != keys.shape[:-3] or heads % key_heads or (queries.dim() == 3 and heads != key_heads):
        raise NotShownError(f"{cause}; give both for as many windows, and heads that a head of the keys serves evenly")
    return queries, keys if heads == key_heads else keys.repeat_interleave(heads // key_heads, -3)


def check_bias(call: AttentionCall) -> None:
    """Refuse a bias that cannot be added to the products.

    Raises:
        NotShownError: its shape does not broadcast to theirs.
    """
    if call.bias is None:
        return
    whole = torch.Size((*call.leading, call.tokens, call.key_tokens))
    try:
        fits = torch.broadcast_shapes(call.bias.shape, whole) == whole
    except RuntimeError:
        fits = False
    if not fits:
        raise NotShownError(
            f"a bias of {tuple(call.bias.shape)} was declared for products of {tuple(whole)}; give one that is added "
            "to them as it is"
        )


def declared_windows(declaration: Declaration, call: AttentionCall) -> Windows:
    """The windows that were declared.

    Raises:
        NotShownError: the call has others.
    """
    assert declaration.window is not None
    if declaration.grid is None:
        raise NotShownError("windows were declared without a grid; give grid=(rows, columns)")
    if declaration.prefix or declaration.key_prefix or declaration.key_grid not in (None, declaration.grid):
        raise NotShownError(
            "windows were declared with tokens off the picture, or keys on another grid; declare the matrix of the "
            "whole picture with weights= instead"
        )
    windows = cut_windows(declaration.grid, declaration.window, declaration.shift)
    count, tokens = windows.query_places.shape
    if (call.tokens, call.key_tokens) != (tokens, tokens) or torch.Size(call.leading).numel() % count:
        raise NotShownError(
            f"queries of {tuple(call.queries.shape)} and keys of {tuple(call.keys.shape)} were declared, and a grid of "
            f"{declaration.grid[0]} x {declaration.grid[1]} has {count} windows of {tokens} cells; give "
            "(windows, heads, tokens, dim), or correct grid or window"
        )
    return windows


def fit_declared_keys(declaration: Declaration, key_tokens: int, seen: Grid) -> ObjectQueries:
    """Where the keys of object queries lie.

    Raises:
        NotShownError: they are no grid, or another one than was declared.
    """
    grid, prefix = declaration.key_grid or declaration.grid, declaration.key_prefix
    if grid is None:
        prefixes = (0,) if prefix else USUAL_PREFIXES
        found = fit_tokens(key_tokens - prefix, seen, (), None, "keys", prefixes)
        return ObjectQueries(found.grid, prefix + found.prefix)
    check_count(key_tokens, prefix, grid, "keys")
    return ObjectQueries(grid, prefix)


def fit_declared_tokens(declaration: Declaration, tokens: int, key_tokens: int, seen: Grid) -> Tokens:
    """The grids of declared tokens; those that were not given are fitted to the picture.

    Raises:
        NotShownError: no grid fits, or there are other tokens than were declared.
    """
    prefix, key_prefix = declaration.prefix, declaration.key_prefix
    grid = declaration.grid or fit_tokens(tokens - prefix, seen, (), None, "queries").grid
    same = key_tokens - key_prefix == grid[0] * grid[1]
    key_grid = declaration.key_grid or (
        grid if same else fit_tokens(key_tokens - key_prefix, seen, (), None, "keys").grid
    )
    check_count(tokens, prefix, grid, "queries")
    check_count(key_tokens, key_prefix, key_grid, "keys")
    return Tokens(grid, key_grid, prefix, key_prefix)


def check_count(count: int, prefix: int, grid: Grid, what: str) -> None:
    """Refuse tokens that are not as many as a prefix and a grid have.

    Raises:
        NotShownError: they are not.
    """
    if count != prefix + grid[0] * grid[1]:
        raise NotShownError(
            f"{count} {what} were declared, not {prefix} + {grid[0]} x {grid[1]}; correct grid or prefix"
        )
