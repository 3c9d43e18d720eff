"""A map's cells over the picture: where their centres lie, which pixels they cover, and the class of these."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, UInt8

from segviz.attention.grid_map import cells_to_pixels
from segviz.attention.maps import Grid, PlacedMap, SpatialMap

Labels = UInt8[np.ndarray, "height width"]
CellClasses = Int[np.ndarray, "rows columns"]
LABELS = 256


def cell_centres(map_: SpatialMap, size: Grid) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]]:
    """Where the cells' centres lie in a picture of (height, width), in pixels from the first pixel's centre.

    The corner cells' centres lie half a cell of the features inside; PSA's grid is coarser than its features.
    """
    sides = zip(size, map_.grid, map_.feature_grid, strict=True)
    down, along = (cells_to_pixels(np.arange(side[1], dtype=np.float64), *side) for side in sides)
    return down, along


def has_pixel_in_each_cell(map_: SpatialMap, size: tuple[int, ...]) -> bool:
    """Whether a picture of (height, width) has no fewer pixels than the grid has cells, along both sides.

    A smaller one is enlarged for a model, so its cells may be finer than its pixels: they have no classes then.
    """
    return all(pixels >= cells for pixels, cells in zip(size, map_.grid, strict=True))


def cells_of_pixels(map_: SpatialMap, size: Grid) -> tuple[Int[np.ndarray, " height"], Int[np.ndarray, " width"]]:
    """The grid row of every row of pixels and the grid column of every column: `map_.cell` of all pixels.

    Raises:
        ValueError: the picture has fewer pixels than the grid has cells along a side.
    """
    if not has_pixel_in_each_cell(map_, size):
        raise ValueError(f"a picture of {size} has fewer pixels than the {map_.grid} grid has cells; use a larger one")
    rows = np.array([map_.cell(y, 0, *size)[0] for y in range(size[0])])
    return rows, np.array([map_.cell(0, x, *size)[1] for x in range(size[1])])


def cell_means(map_: SpatialMap, values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "rows columns"]:
    """The mean over each cell's pixels, in float64.

    Raises:
        ValueError: there are fewer pixels than cells along a side.
    """
    rows, columns = cells_of_pixels(map_, (values.shape[0], values.shape[1]))
    down, along = (np.eye(count)[:, at] for count, at in zip(map_.grid, (rows, columns), strict=True))
    pixels = down.sum(1)[:, None] * along.sum(1)
    means: np.ndarray = down @ values.astype(np.float64) @ along.T / pixels
    return means


def key_cell_means(map_: PlacedMap, values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "rows columns"]:
    """The mean over each key cell's pixels, in float64; NaN where a cell has none.

    It has none in padding, or where the grid is finer than the pixels: networks of one's own see more than is shown.
    """
    size = values.shape[0], values.shape[1]
    rows = [map_.key_cell(y, 0, *size)[0] for y in range(size[0])]
    columns = [map_.key_cell(0, x, *size)[1] for x in range(size[1])]
    down, along = (np.eye(count)[:, at] for count, at in zip(map_.key_grid, (rows, columns), strict=True))
    with np.errstate(invalid="ignore"):  # 0 / 0 where there are no pixels
        means: np.ndarray = down @ values.astype(np.float64) @ along.T / (down.sum(1)[:, None] * along.sum(1))
    return means


def cell_classes(map_: SpatialMap, labels: Labels) -> CellClasses:
    """The most frequent label of each cell's pixels, 255 where that is void; the lowest of equally frequent ones.

    Raises:
        ValueError: there are fewer pixels than cells along a side.
    """
    rows, columns = cells_of_pixels(map_, (labels.shape[0], labels.shape[1]))
    numbers = (rows[:, None] * map_.grid[1] + columns) * LABELS + labels
    counts = np.bincount(numbers.ravel(), minlength=map_.grid[0] * map_.grid[1] * LABELS)
    majority: np.ndarray = counts.reshape(*map_.grid, LABELS).argmax(2)
    return majority


def spread_places(grid: Grid, count: int = 64) -> tuple[Grid, ...]:
    """About `count` different cells, spread evenly over the grid.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}; ask for at least 1 place")
    step = max(1.0, math.sqrt(grid[0] * grid[1] / count))
    rows, columns = (evenly_spaced(size, step) for size in grid)
    return tuple((row, column) for row in rows for column in columns)


def evenly_spaced(size: int, step: float) -> list[int]:
    """Every `step`-th of `size` cells, with the same margin at both ends."""
    count = min(size, max(1, round(size / step)))
    return [int((number + 0.5) * size / count) for number in range(count)]
