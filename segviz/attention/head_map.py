"""What every map of a network with heads has: a query grid, a key grid, and views of its heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Literal, SupportsIndex, cast, get_args

from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import Grid, GridMap, MapLook, as_whole_number, cell_of_pixel

HeadView = Literal["mean", "largest"]  # a view of all heads
HeadChoice = SupportsIndex | HeadView  # one head, or a view of all
Cover = tuple[float, float]


def covered_size(size: Grid, covers: Cover) -> Grid:
    """The (height, width) in pixels that a grid covers, given the picture's."""
    return round(size[0] * covers[0]), round(size[1] * covers[1])


def which_head(head: HeadChoice, count: int, name: str) -> int | HeadView:
    """One of a map's heads, or a view of all.

    Raises:
        IndexError: the map has no such head, or there is no such view; True and False are no heads.
    """
    if isinstance(head, str):
        for view in get_args(HeadView):
            if head == view:
                return cast(HeadView, view)
    else:
        with suppress(TypeError):
            number = as_whole_number(head, "head")
            if 0 <= number < count:
                return number
    raise IndexError(f"head {head!r} does not exist: map '{name}' has heads 0 to {count - 1}, 'mean' and 'largest'")


def select_head(weights: Float[Tensor, heads * shape], head: HeadChoice, name: str) -> Float[Tensor, "*shape"]:
    """One head of weights, their mean over heads, or the largest of all heads at each place.

    Raises:
        IndexError: the map has no such head.
    """
    chosen = which_head(head, len(weights), name)
    if chosen == "mean":
        return weights.mean(0)
    return weights.amax(0) if chosen == "largest" else weights[chosen]


@dataclass(frozen=True, repr=False)
class HeadMap(GridMap, ABC):
    """Weights of each head, from the cells of a query grid (`grid`) to those of a key grid.

    The mean is that of the heads' weights, not the weights of a mean head. Both grids cover the same part of the
    picture.

    Attributes:
        looks: the ways to draw it at a place.
        key_grid: rows and columns of the keys' cells; a key cell of a coarser grid covers more pixels.
        covers: the height and width that the grids cover, in those of the picture; above 1 where the network saw the
            picture padded below and at the right.
        cell_tokens: which of its layer's tokens each query cell is; None if they are the cells row by row, after the
            others.
    """

    looks: ClassVar[tuple[MapLook, ...]] = ("attends_to", "attended_by")
    may_be_empty: ClassVar[bool] = False  # whether all weights of a cell can be 0

    key_grid: Grid
    covers: Cover = field(default=(1.0, 1.0), kw_only=True)
    cell_tokens: Sequence[int] | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def heads(self) -> int:
        """How many heads there are."""

    @abstractmethod
    def head_rows(self, cell: int) -> Float[Tensor, "heads key_cells"]:
        """What a query cell, by its number, draws from each key cell in each head."""

    @abstractmethod
    def head_columns(self, key_cell: int) -> Float[Tensor, "heads cells"]:
        """How much each query cell draws from a key cell, by its number, in each head."""

    def head_prefix_shares(self, cell: int) -> Float[Tensor, " heads"]:
        """The weight that a query cell gives to tokens off the picture, in each head."""
        return 1 - self.head_rows(cell).sum(1)

    @property
    def signed(self) -> bool:
        """Whether weights below 0 can occur."""
        return False

    @property
    def remark(self) -> str:
        """What a reader has to know of the map, in a few words; empty if nothing."""
        coarse = f"keys on {self.key_grid[0]} x {self.key_grid[1]} cells" if self.key_grid != self.grid else ""
        heads = f"{self.heads} heads" if self.heads > 1 else ""
        return ", ".join(part for part in (heads, coarse) if part)

    def __repr__(self) -> str:
        """One line."""
        (height, width), (rows, columns) = self.grid, self.key_grid
        keys = f", keys on {rows} x {columns} cells" if self.key_grid != self.grid else ""
        heads = f"{self.heads} head{'s' if self.heads > 1 else ''}"
        return f"{type(self).__name__}({self.name!r}, {heads}, {height} x {width} cells{keys})"

    def attends_to(self, row: int, column: int, head: HeadChoice = "mean") -> Float[Tensor, "key_rows key_columns"]:
        """What one query cell draws from each key cell; with `prefix_share`, it sums to 1.

        Args:
            row: the query cell's row.
            column: the query cell's column.
            head: a head's number, "mean", or "largest" (at each place, of all heads; this need not sum to 1).

        Raises:
            IndexError: there is no such cell or head.
        """
        return select_head(self.head_rows(self.index(row, column)), head, self.name).reshape(self.key_grid)

    def attended_by(self, row: int, column: int, head: HeadChoice = "mean") -> Float[Tensor, "rows columns"]:
        """How much each query cell draws from one key cell, which `key_cell` finds; the sum is free.

        Raises:
            IndexError: there is no such cell or head.
        """
        return select_head(self.head_columns(self.key_index(row, column)), head, self.name).reshape(self.grid)

    def prefix_share(self, row: int, column: int, head: HeadChoice = "mean") -> float:
        """The share of a query cell's weight on what is not in the picture: class and register tokens, or padding.

        Raises:
            IndexError: there is no such cell or head.
        """
        shares = self.head_prefix_shares(self.index(row, column))
        return min(1.0, max(0.0, float(select_head(shares, head, self.name))))

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The query cell of an image pixel, for a picture of `height` x `width` pixels.

        Raises:
            ValueError: the pixel lies outside the picture.
        """
        return cell_of_pixel(y, x, covered_size((height, width), self.covers), self.grid)

    def key_cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The key cell of an image pixel, as `cell` finds the query cell."""
        return cell_of_pixel(y, x, covered_size((height, width), self.covers), self.key_grid)

    def key_index(self, row: int, column: int) -> int:
        """The number of a key cell.

        Raises:
            IndexError: the cell lies outside the key grid.
            TypeError: a row or column is no whole number.
        """
        (height, width), row, column = self.key_grid, as_whole_number(row, "row"), as_whole_number(column, "column")
        if not (0 <= row < height and 0 <= column < width):
            raise IndexError(f"cell ({row}, {column}) is outside the {height} x {width} key grid of map '{self.name}'")
        return row * width + column
