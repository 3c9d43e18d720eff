"""What a call without a recipe may not be: channels, windows folded into its axes, or one padded window."""

from __future__ import annotations

import torch

from segviz.attention.grid_map import Grid
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
from segviz.watch.grids import (
    HEAD_NAMES,
    SIDE_NAMES,
    USUAL_PREFIXES,
    FoldedWindowsError,
    NotShownError,
    has_shape,
    head_count,
    named_sides,
    prefix_tokens,
    select_fits,
    side_pairs,
    stride_grids,
    window_of,
)

CLOSEST_FUNCTIONS = 3  # of the running ones: a softmax, its block, and its caller may hold what was multiplied


def check_leading(call: AttentionCall, seen: Grid, grid: Grid | None) -> None:
    """Check that a call's leading axes are one image and its heads.

    Raises:
        FoldedWindowsError: they may hold windows, rows or columns.
    """
    leading, known = call.leading, head_count(call.running)
    folded = f"its {call.tokens} queries come in {' x '.join(map(str, leading))} groups"
    cure = "find_windows=True, a recipe, or segviz.record(..., window=...) says where they lie"
    if len(leading) > 2 or (len(leading) == 2 and leading[0] != 1):
        raise FoldedWindowsError(f"{folded}, which are windows: {cure}")
    heads = leading[-1] if leading else 1
    if known is not None and heads not in (1, known):
        raise FoldedWindowsError(f"{folded}, and the module has {known} heads, so some are windows: {cure}")
    if heads > 1 and known is None and (len(leading) == 1 or not are_heads(call, heads, seen, grid)):
        raise FoldedWindowsError(f"{folded}, heads or windows: set num_heads on the module, or declare it: {cure}")


def are_heads(call: AttentionCall, groups: int, seen: Grid, grid: Grid | None) -> bool:
    """Whether groups are heads, by what the running code says, or since each is a whole grid and all are none."""
    for one in call.running:
        if any(one.values.get(name) == groups for name in HEAD_NAMES):
            return True
        if any(holds(shape, call.tokens, groups * call.queries.shape[-1]) for shape in tensor_shapes(one)):
            return True
    known = prefix_tokens(call.running)
    prefixes = USUAL_PREFIXES if known is None else (0, known)
    given = grid is not None and call.tokens - grid[0] * grid[1] in prefixes
    whole = given or select_fits(call.tokens, stride_grids(seen, exact=True), seen, prefixes)
    return bool(whole) and not select_fits(groups * call.tokens, stride_grids(seen), seen, prefixes)


def holds(shape: tuple[int, ...], tokens: int, channels: int) -> bool:
    """Whether a tensor of this shape has so many tokens, or cells, and channels of all heads together."""
    if len(shape) == 3:
        return shape[1:] in ((tokens, channels), (channels, tokens))
    return len(shape) == 4 and shape[1] == channels and shape[2] * shape[3] == tokens


def check_channels(call: AttentionCall, seen: Grid) -> None:
    """Check that a call relates places: channels may be as many as some grid has cells.

    They are channels where a tensor of the running code has as many, and what is summed over are its cells. With as
    many channels as cells, the strides of the queries tell: places of a (channels, height, width) tensor lie side by
    side.

    Raises:
        NotShownError: it relates channels, or may.
    """
    tokens, dim = call.tokens, call.queries.shape[-1]
    channels = {tokens, tokens * torch.Size(call.leading).numel()}
    cure = "declare attention between places with segviz.record"
    for depth, one in enumerate(call.running):
        if tokens != dim:
            names = one.values.get("N") == dim and one.values.get("C") in channels  # XCiT: B, N, C = x.shape
            if names or has_tensor(one, channels, dim, seen):
                raise NotShownError(f"it relates {tokens} channels, not places; {cure}")
        elif (
            depth < CLOSEST_FUNCTIONS
            and len(channels) == 1
            and call.queries.stride(-2) != 1
            and has_tensor(one, channels, dim, seen)
        ):
            raise NotShownError(
                f"it relates {tokens} channels or as many places; watch it at another input size, or declare it"
            )


def has_tensor(one: RunningModule, channels: set[int], cells: int, seen: Grid) -> bool:
    """Whether a running function has a tensor (1, channels, *sides) with so many cells, of the picture's shape."""
    for _, wide, *sides in tensor_shapes(one):
        fits = wide in channels and len(sides) == 2 and min(sides) > 1 and sides[0] * sides[1] == cells
        if fits and has_shape((sides[0], sides[1]), seen):
            return True
    return False


def check_padding(call: AttentionCall, seen: Grid) -> None:
    """Check that a call's tokens are not one window that is larger than the grid, which was padded to it.

    Raises:
        NotShownError: they are, as a module says that cuts windows.
    """
    for one in call.running:
        window = window_of(one)
        if window is None or call.key_tokens != window[0] * window[1]:
            continue
        for grid in named_sides(one, SIDE_NAMES) or side_pairs(one):
            if grid != window and grid[0] <= window[0] and grid[1] <= window[1] and has_shape(grid, seen):
                raise NotShownError(
                    f"its {call.key_tokens} keys are a window of {window[0]} x {window[1]}, of which "
                    f"{grid[0]} x {grid[1]} are places and the rest is padding: a recipe or "
                    "segviz.record(..., window=...) says where they lie"
                )


def tensor_shapes(one: RunningModule) -> list[tuple[int, ...]]:
    """The shapes of a running function's local tensors of one image that have channels and cells."""
    shapes = [one.shape(name) for name in one.values]
    return [shape for shape in shapes if shape is not None and len(shape) in (3, 4) and shape[0] == 1]
