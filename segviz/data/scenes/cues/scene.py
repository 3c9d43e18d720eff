"""A cue scene as a value: things, cues, which cue each thing means, and the picture, one pixel for each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

CUE_GRID = (24, 32)  # rows and columns of cells; the picture has a pixel for each
CUE_COLOURS = ("orange", "blue", "yellow")  # the classes: a thing has the class of its cue's colour
CUE_RGB = np.array([[230, 90, 30], [40, 120, 230], [240, 215, 50]], np.uint8)
SHAPES = np.array(
    [
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]],  # square: the only one where shapes mean nothing
        [[0, 1, 0], [1, 1, 1], [0, 1, 0]],  # plus
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]],  # cross
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]],  # ring
    ],
    bool,
)
MARK_REACH = 1  # cells from a mark's centre to its edge: a mark covers 3 x 3 cells


@dataclass(frozen=True)
class CueShape:
    """A thing or a cue: 3 x 3 cells around (row, column), and the index of its shape in `SHAPES`."""

    row: int
    column: int
    shape: int = 0

    @property
    def cells(self) -> tuple[slice, slice]:
        """The rows and the columns of its nine cells."""
        near, past = -MARK_REACH, MARK_REACH + 1
        return slice(self.row + near, self.row + past), slice(self.column + near, self.column + past)

    def steps_to(self, other: CueShape) -> int:
        """The larger of the distances between the centres down and along, in cells."""
        return max(abs(self.row - other.row), abs(self.column - other.column))

    def distance_to(self, other: CueShape) -> float:
        """The Euclidean distance between the centres, in cells."""
        return float(np.hypot(self.row - other.row, self.column - other.column))


@dataclass(frozen=True, eq=False)
class CueScene:
    """A scene.

    Attributes:
        kind: the key of its kind in `CUE_KINDS`.
        things: white marks whose class is asked.
        cues: coloured marks, all of different colours.
        colours: the class of each cue, an index of `CUE_COLOURS`.
        meant: for each thing, the index of the cue that tells its class.
        image: RGB, a pixel for each cell of `CUE_GRID`.
    """

    kind: str
    things: tuple[CueShape, ...]
    cues: tuple[CueShape, ...]
    colours: tuple[int, ...]
    meant: tuple[int, ...]
    image: UInt8[np.ndarray, "24 32 3"]

    @property
    def classes(self) -> tuple[int, ...]:
        """The class of each thing."""
        return tuple(self.colours[cue] for cue in self.meant)
