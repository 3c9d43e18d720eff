"""What every map over the feature grid has: its cells, and for maps over places the ways to look at them.

Cells are numbered row by row over `grid = (height, width)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

Grid = tuple[int, int]
Direction = Literal["attends_to", "attended_by"]  # row p of the attention matrix, or column p
MapLook = Literal["attends_to", "attended_by", "strip", "points"]  # the ways to draw a map over places


def cell_of_pixel(y: int, x: int, size: Grid, grid: Grid) -> Grid:
    """The grid cell that covers an image pixel: `floor((y + 1/2) h / H)`, and likewise for x.

    Raises:
        ValueError: the pixel lies outside the picture.
    """
    check_pixel(y, x, size)
    (height, width), (rows, columns) = size, grid
    return int((y + 0.5) * rows / height), int((x + 0.5) * columns / width)


def check_pixel(y: int, x: int, size: Grid) -> None:
    """Refuse a pixel outside the picture.

    Raises:
        ValueError: it lies outside.
    """
    height, width = size
    if not (0 <= y < height and 0 <= x < width):
        raise ValueError(
            f"pixel (y={y}, x={x}) is outside the {height} x {width} picture; use 0 <= y < {height}, 0 <= x < {width}"
        )


@dataclass(frozen=True, repr=False)
class GridMap:
    """A name, and the grid's (height, width).

    `corners_aligned`: the corner cells' centres lie on the picture's corner pixels; if not, half a cell inside.
    """

    corners_aligned: ClassVar[bool] = False

    name: str
    grid: Grid

    def __repr__(self) -> str:
        """One line; the tensors would fill a screen."""
        return f"{type(self).__name__}({self.name!r}, {self.grid[0]} x {self.grid[1]} cells)"

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The cell of an image pixel, for a picture of `height` x `width` pixels.

        Raises:
            ValueError: the pixel lies outside the picture.
        """
        if not self.corners_aligned:
            return cell_of_pixel(y, x, (height, width), self.grid)
        check_pixel(y, x, (height, width))
        rows, columns = self.grid
        return round(y * (rows - 1) / max(height - 1, 1)), round(x * (columns - 1) / max(width - 1, 1))

    def index(self, row: int, column: int) -> int:
        """The number of a cell.

        Raises:
            IndexError: the cell lies outside the grid.
        """
        height, width = self.grid
        if not (0 <= row < height and 0 <= column < width):
            raise IndexError(f"cell ({row}, {column}) is outside the {height} x {width} grid of map '{self.name}'")
        return row * width + column


@dataclass(frozen=True, repr=False)
class MapOverPlaces(GridMap, ABC):
    """Weights from cell to cell. A kind overrides what differs; the defaults are true of any.

    Attributes:
        looks: the ways to draw it.
        may_be_empty: whether all weights of a cell can be 0.
    """

    looks: ClassVar[tuple[MapLook, ...]] = ("attends_to", "attended_by")
    may_be_empty: ClassVar[bool] = False

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
