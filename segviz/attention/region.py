"""A rectangle of a picture, such as a crop that a network sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segviz.attention.grid_map import Grid


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture, in pixels; the first row and column, and its size."""

    top: int
    left: int
    height: int
    width: int

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Whether a pixel (y, x) lies in it."""
        return 0 <= place[0] - self.top < self.height and 0 <= place[1] - self.left < self.width

    def distance(self, place: tuple[int, int]) -> float:
        """From its centre to a pixel (y, x), in pixels."""
        down, along = self.top + (self.height - 1) / 2 - place[0], self.left + (self.width - 1) / 2 - place[1]
        return math.hypot(down, along)

    def within(self, size: Grid) -> Region:
        """The part of it that lies in a picture of (height, width)."""
        top, left = max(0, self.top), max(0, self.left)
        bottom, right = min(size[0], self.top + self.height), min(size[1], self.left + self.width)
        return Region(top, left, bottom - top, right - left)

    @property
    def size(self) -> Grid:
        """Its (height, width)."""
        return self.height, self.width

    def inside(self, place: tuple[int, int]) -> tuple[int, int]:
        """A pixel (y, x) of the picture, counted from its own first row and column."""
        return place[0] - self.top, place[1] - self.left

    def __str__(self) -> str:
        """Its rows and columns, in words."""
        rows, columns = f"{self.top} to {self.top + self.height - 1}", f"{self.left} to {self.left + self.width - 1}"
        return f"rows {rows}, columns {columns}"


def nearest_region(regions: Sequence[Region], place: tuple[int, int]) -> int:
    """The number of the region whose centre is nearest to a pixel (y, x), among those that contain it."""
    having = [number for number, one in enumerate(regions) if place in one] or range(len(regions))
    return min(having, key=lambda number: regions[number].distance(place))
