"""The classes of the bundled models, and their colours."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

VOID = 255
VOID_COLOUR = (0, 0, 0)
RgbColour = tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """Class names in index order, each with its RGB colour; `void` is the index of pixels without a label."""

    names: tuple[str, ...]
    palette: tuple[RgbColour, ...]
    void: int = VOID

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(f"{len(self.names)} classes but {len(self.palette)} colours; give each class one colour")

    @property
    def colours(self) -> UInt8[np.ndarray, "classes 3"]:
        """The palette as an array."""
        return np.array(self.palette, np.uint8)


CAMVID = ClassSet(
    (
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    ),
    (
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)


def even_hues(names: tuple[str, ...], void: int = VOID) -> ClassSet:
    """A class set in evenly spaced hues, for classes that no known data set has; see `class_sets.give_colours`.

    They are brighter than the colours of `CAMVID`, beside which Compare may show them.
    """
    hues = [
        colorsys.hsv_to_rgb((i + 0.5) / len(names) % 1, 0.5 if i % 2 else 0.85, 1.0 if i % 3 else 0.82)
        for i in range(len(names))
    ]
    return ClassSet(names, tuple((int(r * 255), int(g * 255), int(b * 255)) for r, g, b in hues), void)
