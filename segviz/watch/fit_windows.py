"""Windows that are folded into the axes of a call, found from where its tokens lie."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover
from segviz.attention.windowed import spread_window_places, window_places
from segviz.watch.call import AttentionCall
from segviz.watch.grids import has_shape, head_count, stride_grids
from segviz.watch.layout import Windows
from segviz.watch.probe_places import TokenPlaces

MOST_DISTANCE = 0.1  # root mean square, in shares of the picture's sides, of the windows that are taken
CLEARLY = 1.4  # how much larger the mean square error of any other windows must be
KEPT = 0.9  # of the tokens: the worst ones count for nothing


def fit_windows(
    call: AttentionCall, places: tuple[TokenPlaces, TokenPlaces], seen: Grid, covers: Cover
) -> Windows | None:
    """The windows that fit the places of a call's queries or keys best; None where none fits well, or two do.

    Known are windows side by side, shifted by half their size or not, windows whose cells are spread over the whole
    grid, and whole rows or columns; windows and their tokens may come row by row or column by column.

    Args:
        call: its queries and keys are the same tokens.
        places: of its queries and of its keys, see `probe_places`; in some networks, only one of both tells.
        seen: the (height, width) at which the network saw the picture.
        covers: the part of the picture that the grids cover, see `HeadMap`.
    """
    if call.key_tokens != call.tokens:
        return None
    fits = [one for each in places if (one := fit_places(call, each, seen, covers)) is not None]
    return fits[0] if fits and all(is_same(one, fits[0]) for one in fits) else None


def fit_places(call: AttentionCall, places: TokenPlaces, seen: Grid, covers: Cover) -> Windows | None:
    """The windows that fit the places of tokens; None where none fits well, or two do."""
    found: list[tuple[float, Windows, Tensor]] = []
    for count, heads, axis in split_groups(call):
        shape = (count, heads) if axis == 0 else (heads, count)
        each = places.reshape(*shape, *places.shape[-2:]).mean(1 - axis)  # (windows, tokens, 2)
        for one in candidates(count, call.tokens, seen, axis):
            misses = sorted_misses(one, each, covers)
            if len(misses):
                found.append((float(misses.square().sum(1).mean()), one, misses.mean(0)))
    if not found:
        return None
    error, best, offset = min(found, key=lambda each: each[0])
    clear = all(other > CLEARLY * error for other, one, _ in found if not is_same(one, best))
    cell = torch.tensor([covers[0] / best.grid[0], covers[1] / best.grid[1]])
    beside = bool((offset.abs() > cell / 2).any())  # as by a shift of another number of cells
    return best if error <= MOST_DISTANCE**2 and clear and not beside else None


def split_groups(call: AttentionCall) -> list[tuple[int, int, int]]:
    """How a call's groups may be windows and heads: their numbers, and which axis the windows are."""
    sizes, known = [size for size in call.leading if size > 1], head_count(call.running)
    if len(sizes) == 1:
        (groups,), heads = sizes, known or 1
        return [(groups // heads, heads, axis) for axis in range(1 if heads == 1 else 2)] if groups % heads == 0 else []
    if len(sizes) != 2:
        return []
    options = [(sizes[0], sizes[1], 0), (sizes[1], sizes[0], 1)]
    return [one for one in options if known is None or one[1] == known]


def candidates(count: int, tokens: int, seen: Grid, axis: int) -> Iterator[Windows]:
    """All windows of so many tokens that are so many."""
    for rows in divisors(tokens):
        window = rows, tokens // rows
        for down in divisors(count):
            windows = down, count // down
            whole = rows * down, window[1] * windows[1]
            grids = [grid for grid in stride_grids(seen) if grid != whole and pad_grid(grid, window) == whole]
            for grid in dict.fromkeys([*([whole] if has_shape(whole, seen) else []), *grids]):
                yield from in_all_orders(grid, window, windows, axis)


def in_all_orders(grid: Grid, window: Grid, windows: Grid, axis: int) -> Iterator[Windows]:
    """Windows on a grid: side by side, shifted, or spread; their tokens and they themselves by rows or by columns."""
    half = window[0] // 2, window[1] // 2
    plain = [(window_places(grid, window), (0, 0))]
    if any(half):
        plain += [(window_places(grid, window, half, roll_first=first), half) for first in (False, True)]
    layouts = [(places, window, shift) for places, shift in plain]
    if pad_grid(grid, window) == grid:
        layouts.append((spread_window_places(grid, window), (0, 0), (0, 0)))
    for places, size, shift in layouts:
        inner = places.unflatten(1, window)
        for ordered in (inner, inner.mT):
            outer = ordered.flatten(1).unflatten(0, windows)
            for all_windows in (outer, outer.transpose(0, 1)):
                final = all_windows.flatten(0, 1)
                yield Windows(grid, grid, final, final, size, shift, axis)


def sorted_misses(one: Windows, places: Float[Tensor, "windows tokens 2"], covers: Cover) -> Float[Tensor, "kept 2"]:
    """How far (y, x) the tokens of windows lie from the centres of their cells, the nearest first, without the worst.

    Cells beside the picture count for nothing.
    """
    cells = one.query_places
    rows, columns = cells // one.grid[1], cells % one.grid[1]
    centres = torch.stack([(rows + 0.5) / one.grid[0] * covers[0], (columns + 0.5) / one.grid[1] * covers[1]], 2)
    inside = (cells >= 0) & (centres < 1).all(2)
    misses = places[inside] - centres[inside]
    order = misses.square().sum(1).argsort()
    return misses[order[: math.ceil(len(order) * KEPT)]]


def is_same(one: Windows, other: Windows) -> bool:
    """Whether two descriptions are of the same windows."""
    return one.grid == other.grid and one.axis == other.axis and torch.equal(one.query_places, other.query_places)


def pad_grid(grid: Grid, window: Grid) -> Grid:
    """The grid with both sides up to a multiple of the window's."""
    return -(-grid[0] // window[0]) * window[0], -(-grid[1] // window[1]) * window[1]


def divisors(number: int) -> list[int]:
    """The divisors of a number."""
    small = [one for one in range(1, math.isqrt(number) + 1) if number % one == 0]
    return [*small, *(number // one for one in reversed(small) if one * one != number)]
