"""Dense attention with heads within windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import HeadMap
from segviz.attention.softmax import log_sum, weigh


@dataclass(frozen=True, repr=False)
class WindowedAttention(HeadMap):
    """Multi-head attention within windows (Swin, ICCV 2021, eq. 4): cells of different windows have weight 0.

    `places` say which cell each token of a window is, so windows may be shifted, padded, strided or overlap. The window
    of cell p is the one that holds it as a query.

    Attributes:
        query_places: cell number of each window's query tokens; -1 is padding.
        key_places: cell number of each window's key tokens, on the key grid; -1 is padding.
        scale: factor of the products.
        bias: added to the logits; one for each window or for all, and one for each head or for all.
        mask: the same, added too: a shifted window's mask differs by window, its position bias by head.
        window: rows and columns of a window in query cells, to tell the reader.
        shift: rows and columns by which the windows are shifted, to tell the reader.
    """

    may_be_empty = True

    queries: Float[Tensor, "windows heads tokens dim"]
    keys: Float[Tensor, "windows heads key_tokens dim"]
    query_places: Int[Tensor, "windows tokens"]
    key_places: Int[Tensor, "windows key_tokens"]
    scale: float = 1.0
    bias: Float[Tensor, "bias_windows bias_heads tokens key_tokens"] | None = None
    mask: Float[Tensor, "mask_windows mask_heads tokens key_tokens"] | None = None
    window: Grid = (0, 0)
    shift: Grid = (0, 0)

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return self.queries.shape[1]

    @property
    def remark(self) -> str:
        """Heads, and the windows."""
        return ", ".join(part for part in (super().remark, self.window_words) if part)

    @property
    def window_words(self) -> str:
        """The windows, in words."""
        return describe_windows(self.window, self.shift)

    @cached_property
    def token_of_cell(self) -> Int[Tensor, " cells"]:
        """Where each query cell is among all windows' query tokens; -1 where it is in no window."""
        found = torch.full((self.grid[0] * self.grid[1],), -1)
        places = self.query_places.flatten()
        tokens = (places >= 0).nonzero()[:, 0]
        found[places[tokens]] = tokens
        return found

    @cached_property
    def log_normaliser(self) -> Float[Tensor, "windows heads tokens"]:
        """The `log_sum` of every query token's logits within its window."""
        return torch.stack([log_sum(self.window_logits(number)) for number in range(len(self.queries))])

    def window_logits(self, number: int) -> Float[Tensor, "heads tokens key_tokens"]:
        """All logits of one window."""
        logits = self.queries[number] @ self.keys[number].mT * self.scale
        for part in (self.bias, self.mask):
            if part is not None:
                logits = logits + part[number if len(part) > 1 else 0]
        return logits

    def head_rows(self, cell: int) -> Float[Tensor, "heads key_cells"]:
        """What a query cell draws from each key cell: 0 outside its window."""
        rows = self.queries.new_zeros(self.heads, self.key_grid[0] * self.key_grid[1])
        if self.token_of_cell[cell] < 0:
            return rows
        weights, places = self._weights_in_window(cell)
        inside = places >= 0
        return rows.index_add_(1, places[inside], weights[:, inside])

    def head_prefix_shares(self, cell: int) -> Float[Tensor, " heads"]:
        """The weight of a query cell on padding; 1 for a cell that is in no window."""
        if self.token_of_cell[cell] < 0:
            return self.queries.new_ones(self.heads)
        weights, places = self._weights_in_window(cell)
        return weights[:, places < 0].sum(1)

    def _weights_in_window(self, cell: int) -> tuple[Tensor, Tensor]:
        """What a query cell draws from each key token of its window, in each head, and these tokens' cells."""
        number, token = divmod(int(self.token_of_cell[cell]), self.query_places.shape[1])
        logits = (self.keys[number] @ self.queries[number, :, token, :, None])[..., 0] * self.scale
        for part in (self.bias, self.mask):
            if part is not None:
                logits = logits + part[number if len(part) > 1 else 0, :, token]
        return weigh(logits), self.key_places[number]

    def head_columns(self, key_cell: int) -> Float[Tensor, "heads cells"]:
        """How much each query cell draws from a key cell: 0 outside the windows that hold it as a key."""
        columns = self.queries.new_zeros(self.heads, self.grid[0] * self.grid[1])
        for number, token in (self.key_places == key_cell).nonzero().tolist():
            logits = self.queries[number] @ self.keys[number, :, token, :, None] * self.scale
            for part in (self.bias, self.mask):
                if part is not None:
                    logits = logits + part[number if len(part) > 1 else 0, :, :, token, None]
            weights = (logits[..., 0] - self.log_normaliser[number]).exp()
            places = self.query_places[number]
            inside = places >= 0
            columns.index_add_(1, places[inside], weights[:, inside])
        return columns


def describe_windows(window: Grid, shift: Grid) -> str:
    """Windows in words: their rows and columns if they lie side by side, and by how many they are shifted."""
    shifted = f", shifted by {shift[0]} x {shift[1]}" if any(shift) else ""
    return f"windows of {window[0]} x {window[1]}{shifted}" if any(window) else "windows"


def window_places(
    grid: Grid, window: Grid, shift: Grid = (0, 0), *, roll_first: bool = False
) -> Int[Tensor, "windows tokens"]:
    """The cell of each token, for windows row by row over a grid that is padded below and at the right.

    Args:
        grid: rows and columns of the cells.
        window: rows and columns of a window; the grid is padded to a multiple of it.
        shift: how far the grid is rolled up and to the left before it is cut into windows.
        roll_first: whether it is rolled before it is padded, as in timm, or afterwards, as in Swin's own code.

    Returns:
        Cell numbers, -1 for padding.
    """
    rows, columns = (-(-size // side) * side for size, side in zip(grid, window, strict=True))
    cells, back = torch.arange(grid[0] * grid[1]).reshape(grid), (-shift[0], -shift[1])
    padding = (0, columns - grid[1], 0, rows - grid[0])
    if roll_first:
        cells = F.pad(cells.roll(back, (0, 1)), padding, value=-1)
    else:
        cells = F.pad(cells, padding, value=-1).roll(back, (0, 1))
    tiles = cells.reshape(rows // window[0], window[0], columns // window[1], window[1])
    return tiles.transpose(1, 2).reshape(-1, window[0] * window[1])


def spread_window_places(grid: Grid, spread: Grid) -> Int[Tensor, "windows tokens"]:
    """The cell (windows, tokens) of each token, for windows of `spread` cells that lie evenly over the whole grid."""
    tiles = torch.arange(grid[0] * grid[1]).reshape(spread[0], grid[0] // spread[0], spread[1], grid[1] // spread[1])
    return tiles.permute(1, 3, 0, 2).flatten(2).flatten(0, 1)
