"""Which grid of the picture a number of tokens is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from segviz.attention.grid_map import Grid
from segviz.text import size_text
from segviz.watch.frames import RunningModule

USUAL_STRIDES = (1, 2, 4, 7, 8, 14, 16, 32, 64)
USUAL_PREFIXES = (0, 1, 2, 5)  # class, distillation and register tokens, where the network does not say how many
FIRST_TOKENS = (  # parameters of networks that put such tokens before the cells
    "cls_token",
    "class_token",
    "dist_token",
    "distillation_token",
    "reg_token",
    "register_tokens",
    "storage_tokens",
)
HEAD_NAMES = ("num_heads", "num_attention_heads", "heads", "n_heads", "nheads", "nhead", "n_head")
SIDE_NAMES = (("H", "W"), ("h", "w"), ("height", "width"), ("grid_h", "grid_w"))
PADDED_NAMES = (("Hp", "Wp"),)
WINDOW_NAMES = ("window_size", "win_size", "window_resolution", "ws")

DECLARE_IT = "declare it with segviz.record"
GIVE_GRID = "in Python, grid=(rows, columns) says which"


class NotShownError(Exception):
    """An attention call that is not shown, and why."""


class FoldedWindowsError(NotShownError):
    """A call that is not shown because windows are folded into its axes, and nothing says where they lie."""


@dataclass(frozen=True)
class Fit:
    """A number of tokens as prefix tokens and a grid."""

    prefix: int
    grid: Grid


def fit_tokens(
    tokens: int,
    seen: Grid,
    running: Sequence[RunningModule],
    grid: Grid | None,
    what: str,
    prefixes: tuple[int, ...] = USUAL_PREFIXES,
) -> Fit:
    """The grid of a number of tokens: the one that was given, else one that the running code names, else by strides.

    A given grid is that of some layers, and others of the network may have other grids. So it counts where it leaves a
    possible number of prefix tokens, or at most one for two cells.

    Args:
        tokens: how many there are.
        seen: the (height, width) at which the network saw the picture.
        running: the network's running functions, the innermost first.
        grid: the grid that the user gave, if any.
        what: "queries" or "keys", for the error.
        prefixes: how many prefix tokens there may be, where the network does not say.

    Raises:
        NotShownError: no grid fits, or several do.
    """
    known = prefix_tokens(running)
    allowed = prefixes if known is None else (0, known)
    if grid is not None:
        cells = grid[0] * grid[1]
        rest = tokens - cells
        if rest >= 0 and (rest in allowed or rest * 2 <= cells):
            return Fit(rest, grid)
        try:
            return fit_tokens(tokens, seen, running, None, what, prefixes)
        except NotShownError:
            given, count = f"{grid[0]} x {grid[1]} cells of the given grid", f"its {tokens} {what} are"
            if rest < 0:
                raise NotShownError(f"{count} fewer than the {given}; give a smaller grid") from None
            raise NotShownError(
                f"{count} not the {given}, which leave {rest} tokens off the picture; give the grid of this layer"
            ) from None
    for module in running:
        fits = select_fits(tokens, side_pairs(module), seen, allowed)
        if len(fits) == 1:
            return fits[0]
    exact = select_fits(tokens, stride_grids(seen, exact=True), seen, allowed)
    fits = exact if len(exact) == 1 else select_fits(tokens, stride_grids(seen), seen, allowed)
    if not fits and known is None:
        fits = select_fits(tokens, stride_grids(seen, exact=True), seen, tuple(first_tokens(running)))
    if not fits:
        raise NotShownError(
            f"its {tokens} {what} are not a grid of the picture of {size_text(seen)} pixels; {GIVE_GRID}"
        )
    if len(fits) > 1:
        choices = " or ".join(f"{one.grid[0]} x {one.grid[1]} + {one.prefix}" for one in fits)
        raise NotShownError(f"its {tokens} {what} may be {choices}; {GIVE_GRID}")
    return fits[0]


def select_fits(tokens: int, grids: Iterable[Grid], seen: Grid, prefixes: tuple[int, ...]) -> list[Fit]:
    """The grids of the picture's shape that leave a possible number of prefix tokens, at most one for two cells."""
    fits = []
    for grid in dict.fromkeys(grids):
        cells = grid[0] * grid[1]
        rest = tokens - cells
        if rest in prefixes and rest * 2 <= cells and has_shape(grid, seen):
            fits.append(Fit(rest, grid))
    return fits


def has_shape(grid: Grid, seen: Grid) -> bool:
    """Whether cells of one square size, rounded up or down, give both sides of the grid."""
    sides = list(zip(seen, grid, strict=True))
    least = max(pixels / (cells + 1) for pixels, cells in sides)
    most = min(pixels / (cells - 1) if cells > 1 else math.inf for pixels, cells in sides)
    return least < most


def stride_grids(seen: Grid, *, exact: bool = False) -> list[Grid]:
    """The picture's grids at the usual strides, or at those that divide both sides."""
    strides = [one for one in USUAL_STRIDES if not exact or not (seen[0] % one or seen[1] % one)]
    sides = [(math.ceil(seen[0] / one), math.ceil(seen[1] / one)) for one in strides]
    sides += [(seen[0] // one, seen[1] // one) for one in strides]
    return [(height, width) for height, width in sides if height and width]


def side_pairs(module: RunningModule) -> list[Grid]:
    """Pairs of sides among a function's local values: `H, W`, pairs of numbers, and sides of 4-D tensors."""
    pairs: list[Grid] = []
    for name in module.values:
        shape = module.shape(name)
        if shape is not None and len(shape) == 4:
            pairs += [(int(shape[2]), int(shape[3])), (int(shape[1]), int(shape[2]))]
        elif shape is not None and len(shape) == 2:
            pairs.append((int(shape[0]), int(shape[1])))
    pairs += named_sides(module, SIDE_NAMES + PADDED_NAMES)
    return [pair for pair in pairs if pair[0] > 0 and pair[1] > 0]


def named_sides(module: RunningModule, names: Sequence[tuple[str, str]]) -> list[Grid]:
    """Pairs of sides among a function's local numbers, by their names."""
    found = [(module.values.get(high), module.values.get(wide)) for high, wide in names]
    pairs = [(high, wide) for high, wide in found if isinstance(high, int) and isinstance(wide, int)]
    return [pair for pair in pairs if min(pair) > 0]


def window_of(one: RunningModule) -> Grid | None:
    """Rows and columns of the windows that a running module says it cuts; None where it says nothing, or 0."""
    for name in WINDOW_NAMES:
        size = getattr(one.module, name, one.values.get(name))
        sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
        if len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides):
            return sides[0], sides[1]
    return None


def prefix_tokens(running: Sequence[RunningModule]) -> int | None:
    """The number of prefix tokens that a running module says it has."""
    for one in running:
        count = getattr(one.module, "num_prefix_tokens", None)
        if isinstance(count, int):
            return count
    return None


def puts_first(running: Sequence[RunningModule], count: int) -> bool:
    """Whether the network says that so many tokens come before the cells: a count, or parameters by their names."""
    known = prefix_tokens(running)
    return count in first_tokens(running) if known is None else known == count


def first_tokens(running: Sequence[RunningModule]) -> list[int]:
    """How many tokens come before the cells, by the shapes of parameters of the running modules that are named so."""
    counts = []
    for module in dict.fromkeys(part for one in running for part in one.module.modules()):
        tokens = [value for name in FIRST_TOKENS if isinstance(value := getattr(module, name, None), Tensor)]
        if tokens:
            counts.append(sum(token.shape[-2] if token.dim() > 1 else 1 for token in tokens))
    return counts


def head_count(running: Sequence[RunningModule]) -> int | None:
    """The number of heads that the innermost running module that says so has."""
    for one in running:
        count = heads_of(one.module)
        if count is not None:
            return count
    return None


def heads_of(module: nn.Module) -> int | None:
    """The number of heads that a module says it has."""
    for name in HEAD_NAMES:
        count = getattr(module, name, None)
        if isinstance(count, int):
            return count
    return None
