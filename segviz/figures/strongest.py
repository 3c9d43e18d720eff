"""Values with more cells than a drawing has pixels: each drawn cell has the strongest of those that it stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Strongest:
    """The strongest value of each block of cells, where it lies, and how many cells a block has along a side."""

    values: Float[np.ndarray, "rows columns"]
    rows: Int[np.ndarray, "rows columns"]
    columns: Int[np.ndarray, "rows columns"]
    step: int


def pool_strongest(values: Float[np.ndarray, "rows columns"], step: int) -> Strongest:
    """Blocks of `step` x `step` cells, from the upper left; those at the other edges may have fewer.

    The strongest is the value that is furthest from 0, or one that is no number; with 1 as step, nothing changes.
    """
    height, width = values.shape
    down, along = math.ceil(height / step), math.ceil(width / step)
    strength = np.full((down * step, along * step), -1.0, np.float32)  # below any, so that no place off the grid wins
    strength[:height, :width] = np.nan_to_num(np.abs(values), nan=np.inf, posinf=np.inf)
    blocks = strength.reshape(down, step, along, step).transpose(0, 2, 1, 3).reshape(down, along, step * step)
    first = blocks.argmax(2)
    rows = np.arange(down)[:, None] * step + first // step
    columns = np.arange(along) * step + first % step
    return Strongest(values[rows, columns], rows, columns, step)


def step_to_fit(shape: tuple[int, int], most: tuple[int, int]) -> int:
    """How many cells a block needs along a side so that there are at most `most` blocks down and along."""
    return max(1, *(math.ceil(cells / pixels) for cells, pixels in zip(shape, most, strict=True)))
