"""Where the tokens of an attention call lie: on grids, within windows, or off the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.watch.call import AttentionCall
from segviz.watch.grids import DECLARE_IT, NotShownError, fit_tokens, puts_first
from segviz.watch.layout_checks import check_channels, check_leading, check_padding


@dataclass(frozen=True)
class Tokens:
    """Queries and keys as cells of two grids, row by row, after prefix tokens.

    Attributes:
        grid: rows and columns of the queries' cells.
        key_grid: the same of the keys' cells.
        prefix: how many tokens before the queries' cells are not in the picture.
        key_prefix: the same of the keys.
        assumed: whether nothing in the network says that these tokens come first.
        order: which of the call's queries are the prefix tokens, and which the cells row by row; None if the call has
            them in this order.
        key_order: the same of the keys; a key that stands for several cells, which share its weight, comes so often.
    """

    grid: Grid
    key_grid: Grid
    prefix: int = 0
    key_prefix: int = 0
    assumed: bool = False
    order: Tensor | None = None
    key_order: Tensor | None = None


@dataclass(frozen=True)
class Windows:
    """Queries and keys in windows; see `WindowedAttention`. The call's windows are its leading axis `axis`.

    `cell_tokens` say which of the layer's tokens each query cell is; None if they are the cells row by row.
    """

    grid: Grid
    key_grid: Grid
    query_places: Tensor
    key_places: Tensor
    window: Grid = (0, 0)
    shift: Grid = (0, 0)
    axis: int = 0
    cell_tokens: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ObjectQueries:
    """Queries that are not in the picture; the keys' grid, where None, is the one that fits."""

    key_grid: Grid | None = None
    key_prefix: int = 0


TokenLayout = Tokens | Windows | ObjectQueries


def order_tokens(grid: Grid, places: Tensor, key_grid: Grid | None = None, key_places: Tensor | None = None) -> Tokens:
    """The layout of tokens in any order.

    Args:
        grid: rows and columns of the queries' cells.
        places: the cell number of each query; -1 for a token that is not in the picture.
        key_grid: the same of the keys; None if they are the queries' cells.
        key_places: the same of the keys, given with their grid.

    Raises:
        NotShownError: a cell has no token, or several.
    """
    order, prefix = place_order(grid, places)
    if key_grid is None or key_places is None:
        return Tokens(grid, grid, prefix, prefix, order=order, key_order=order)
    key_order, key_prefix = place_order(key_grid, key_places)
    return Tokens(grid, key_grid, prefix, key_prefix, order=order, key_order=key_order)


def place_order(grid: Grid, places: Tensor) -> tuple[Tensor, int]:
    """Which token comes where if those off the picture come first and the cells then follow, and how many those are.

    Raises:
        NotShownError: a cell has no token, or several.
    """
    order = places.argsort(stable=True)
    prefix, cells = int((places < 0).sum()), grid[0] * grid[1]
    if not torch.equal(places[order][prefix:], torch.arange(cells)):
        raise NotShownError(f"its {len(places)} tokens are not the {grid[0]} x {grid[1]} cells; {DECLARE_IT}")
    return order, prefix


def guess_layout(call: AttentionCall, seen: Grid, grid: Grid | None) -> Tokens:
    """The layout of a call that no recipe describes.

    Raises:
        NotShownError: it relates channels, folds windows into its axes, or its tokens are no grid.
    """
    check_channels(call, seen)
    check_leading(call, seen, grid)
    check_padding(call, seen)
    layout = fit_layout(call, seen, grid)
    outside = {layout.prefix, layout.key_prefix} - {0}
    return replace(layout, assumed=not all(puts_first(call.running, count) for count in outside))


def fit_layout(call: AttentionCall, seen: Grid, grid: Grid | None) -> Tokens:
    """The grids of a call's queries and keys.

    Raises:
        NotShownError: they are no grids.
    """
    try:
        queries = fit_tokens(call.tokens, seen, call.running, grid, "queries")
    except NotShownError as error:
        if call.key_tokens == call.tokens or find_fitting_grid(call.key_tokens, seen, call, grid) is None:
            raise
        raise NotShownError(
            f"{error}; if its {call.tokens} queries are not in the picture, declare it: "
            'segviz.record(..., kind="object-queries")'
        ) from None
    if call.key_tokens == call.tokens:
        return Tokens(queries.grid, queries.grid, queries.prefix, queries.prefix)
    strips = find_strips(call, queries.grid)
    if strips is not None:
        return Tokens(queries.grid, strips, queries.prefix, 0)
    found = fit_tokens(call.key_tokens, seen, call.running, grid, "keys", tuple({0, queries.prefix}))
    return Tokens(queries.grid, found.grid, queries.prefix, found.prefix)


def describe_order(layout: TokenLayout) -> str:
    """That tokens off the picture are taken to come first, in words, where nothing in the network says so."""
    return ", taken to come first" if isinstance(layout, Tokens) and layout.assumed else ""


def find_strips(call: AttentionCall, grid: Grid) -> Grid | None:
    """The keys' grid where they are whole columns or rows, as a tensor of the running code says (AttaNet's block)."""
    for strips in ((1, grid[1]), (grid[0], 1)):
        if strips != grid and call.key_tokens == strips[0] * strips[1]:
            for module in call.running[:2]:
                shapes = [module.shape(name) for name in module.values]
                if any(shape is not None and len(shape) == 4 and shape[2:] == strips for shape in shapes):
                    return strips
    return None


def find_fitting_grid(tokens: int, seen: Grid, call: AttentionCall, grid: Grid | None) -> Grid | None:
    """The grid of a number of tokens; None where none fits."""
    try:
        return fit_tokens(tokens, seen, call.running, grid, "keys").grid
    except NotShownError:
        return None
