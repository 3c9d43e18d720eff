"""What every map over the feature grid has: its cells, and for maps over places the ways to look at them.

Cells are numbered row by row over `grid = (height, width)`.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal, SupportsIndex, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

Grid = tuple[int, int]
MapLook = Literal["attends_to", "attended_by", "strip", "points"]  # the ways to draw a map over places


Along = TypeVar("Along", float, np.ndarray)  # a position along one side, or an array of them


def pixels_to_cells(at: Along, pixels: int, cells: int, features: int) -> Along:
    """The position in cells of a position in pixels along one side; both count from the first one's centre.

    `features` cells divide the picture evenly. A grid of fewer `cells` is drawn from them with corners aligned: its
    corner cells lie on theirs. A single cell covers the picture.
    """
    if cells in (1, features):
        return (at + 0.5) * cells / pixels - 0.5
    return ((at + 0.5) * features / pixels - 0.5) * (cells - 1) / (features - 1)


def cells_to_pixels(at: Along, pixels: int, cells: int, features: int) -> Along:
    """The position in pixels of a position in cells: the inverse of `pixels_to_cells`."""
    if cells in (1, features):
        return (at + 0.5) * pixels / cells - 0.5
    return (at * (features - 1) / (cells - 1) + 0.5) * pixels / features - 0.5


def cell_of_pixel(y: int, x: int, size: Grid, grid: Grid, features: Grid | None = None) -> Grid:
    """The grid cell whose centre is nearest to an image pixel: `floor((y + 1/2) h / H)` on an even grid, and so for x.

    Args:
        y: the pixel's row.
        x: the pixel's column.
        size: the picture's (height, width).
        grid: the (rows, columns) of cells.
        features: the grid that these cells were drawn from, see `pixels_to_cells`; by default the grid itself.

    Raises:
        ValueError: the pixel lies outside the picture.
    """
    check_pixel(y, x, size)
    sides = zip((y, x), size, grid, features or grid, strict=True)
    row, column = (math.floor(pixels_to_cells(float(at), *side) + 0.5) for at, *side in sides)
    return row, column


def check_pixel(y: int, x: int, size: Grid) -> None:
    """Refuse a pixel outside the picture.

    Raises:
        ValueError: it lies outside.
    """
    height, width = size
    if not (0 <= y < height and 0 <= x < width):
        raise ValueError(
            f"pixel (y={y}, x={x}) is outside the picture of {width} x {height} pixels; use 0 <= y < {height}, "
            f"0 <= x < {width}"
        )


def as_whole_number(value: SupportsIndex, what: str) -> int:
    """A whole number of any type as Python's own: products of NumPy's small types overflow.

    Raises:
        TypeError: it is no whole number; True and False are none.
    """
    with suppress(TypeError):
        if not isinstance(value, bool):
            return operator.index(value)
    raise TypeError(f"{what} {value!r} is no whole number; give one")


@dataclass(frozen=True, repr=False)
class GridMap:
    """A name, and the grid's (height, width)."""

    name: str
    grid: Grid

    def __repr__(self) -> str:
        """One line; the tensors would fill a screen."""
        return f"{type(self).__name__}({self.name!r}, {self.grid[0]} x {self.grid[1]} cells)"

    @property
    def feature_grid(self) -> Grid:
        """The (height, width) of the features that the cells were drawn from, corner on corner."""
        return self.grid

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The cell of an image pixel, for a picture of `height` x `width` pixels.

        Raises:
            ValueError: the pixel lies outside the picture.
        """
        return cell_of_pixel(y, x, (height, width), self.grid, self.feature_grid)

    def index(self, row: int, column: int) -> int:
        """The number of a cell.

        Raises:
            IndexError: the cell lies outside the grid.
            TypeError: a row or column is no whole number.
        """
        (height, width), row, column = self.grid, as_whole_number(row, "row"), as_whole_number(column, "column")
        if not (0 <= row < height and 0 <= column < width):
            raise IndexError(f"cell ({row}, {column}) is outside the {height} x {width} grid of map '{self.name}'")
        return row * width + column

    def check_part(self, number: int, count: int, part: str, parts: str) -> int:
        """The number of a part, such as a base of several; refuses one that the map does not have.

        Raises:
            IndexError: it is not below `count`, or is negative.
            TypeError: it is no whole number.
        """
        number = as_whole_number(number, part)
        if not 0 <= number < count:
            raise IndexError(f"{part} {number} does not exist: map '{self.name}' has {parts} 0 to {count - 1}")
        return number


@dataclass(frozen=True, repr=False)
class MapOverPlaces(GridMap, ABC):
    """Weights from cell to cell. A kind overrides what differs; the defaults are true of any.

    Attributes:
        looks: the ways to draw it.
        may_be_empty: whether all weights of a cell can be 0.
        unit: what a value is; "weight" for attention, which alone has an even share, entropy and distance.
    """

    looks: ClassVar[tuple[MapLook, ...]] = ("attends_to", "attended_by")
    may_be_empty: ClassVar[bool] = False
    unit: ClassVar[str] = "weight"

    @abstractmethod
    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Row p of the attention matrix: what cell p draws from each cell, in float32.

        Raises:
            IndexError: the cell lies outside the grid.
        """

    @abstractmethod
    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Column p: how much each cell draws from cell p, in float32.

        Raises:
            IndexError: the cell lies outside the grid.
        """

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """`attends_to` of many cells at once, given by their numbers (see `index`); kinds override it to be quick."""
        width = self.grid[1]
        return torch.stack([self.attends_to(*divmod(cell, width)).flatten() for cell in cells.tolist()])

    def even_rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """`rows` if the block gave the same weight to everything that it can choose between."""
        count = self.grid[0] * self.grid[1]
        return torch.full((len(cells), count), 1 / count)

    @property
    def reaches_all(self) -> bool:
        """Whether every cell can weigh all cells, so that `even_rows` are the same for every picture."""
        return True

    @property
    def choices(self) -> Float[Tensor, "cells choices"] | None:
        """Each cell's weights over what it chooses between, where that is not cells, such as strips or samples."""
        return None

    @property
    def main_look(self) -> MapLook:
        """The look that its own page shows first."""
        return "attends_to"

    @property
    def signed(self) -> bool:
        """Whether weights below 0 can occur; such weights have no even share."""
        return False

    @property
    def remark(self) -> str:
        """What a reader has to know of the map, in two or three words; empty if nothing."""
        return ""
