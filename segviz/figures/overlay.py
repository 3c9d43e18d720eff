"""Maps and labels over the picture: stretched to its size, blended, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int, UInt8

from segviz.attention.cells import Labels
from segviz.attention.grid_map import cells_to_pixels, pixels_to_cells
from segviz.data.classes import VOID_COLOUR, ClassSet
from segviz.figures.strongest import pool_strongest, step_to_fit
from segviz.image import Rgb

Size = tuple[int, int]  # (height, width) or (rows, columns)


def stretch(
    values: Float[np.ndarray, "rows columns"],
    size: Size,
    features: Size | None = None,
    smooth: bool = True,
    strongest: bool = False,
) -> Float32[np.ndarray, "height width"]:
    """A map stretched from its grid to the picture's size.

    Args:
        values: one value per cell.
        size: (height, width) of the picture.
        features: the grid that the cells were drawn from, see `pixels_to_cells`; by default the values' own.
        smooth: whether to interpolate bilinearly between cell centres; if not, each pixel gets its own cell's value.
        strongest: whether a pixel that several cells share gets the strongest of their values, so that none is lost.
    """
    step = step_to_fit((values.shape[0], values.shape[1]), size) if strongest else 1
    if step > 1:
        every = stretch(values, (step * size[0], step * size[1]), features, smooth=False)
        return pool_strongest(every, step).values
    if not smooth:
        rows, columns = (
            cells_along_side(*side) for side in zip(size, values.shape, features or values.shape, strict=True)
        )
        blocks: np.ndarray = values[np.ix_(rows, columns)].astype(np.float32)
        return blocks
    if features and features != values.shape:
        along = stretch_side(values.astype(np.float32), size[0], features[0])
        return stretch_side(along.T, size[1], features[1]).T
    tensor = torch.from_numpy(np.array(values, np.float32))[None, None]
    stretched: np.ndarray = F.interpolate(tensor, size, mode="bilinear")[0, 0].numpy()
    return stretched


def stretch_side(values: Float32[np.ndarray, "cells across"], pixels: int, features: int) -> np.ndarray:
    """Linear interpolation along the first side; the outermost values continue to the edge."""
    last = len(values) - 1
    at = pixels_to_cells(np.arange(pixels, dtype=np.float64), pixels, len(values), features).clip(0, last)
    low = np.floor(at).astype(np.int64)
    share = (at - low).astype(np.float32)[:, None]
    mixed: np.ndarray = values[low] * (1 - share) + values[np.minimum(low + 1, last)] * share
    return mixed


def cells_along_side(pixels: int, cells: int, features: int) -> Int[np.ndarray, " pixels"]:
    """The cell that each pixel along one side belongs to; a map's `cell` has the same rule."""
    at = pixels_to_cells(np.arange(pixels, dtype=np.float64), pixels, cells, features)
    return np.floor(at + 0.5).astype(np.int64)


def pixel_of_cell(
    at: Float[np.ndarray, "points 2"], size: Size, grid: Size, features: Size | None = None
) -> Float[np.ndarray, "points 2"]:
    """Positions (y, x) in pixels of positions in grid cells; both count from the centre of the first cell or pixel."""
    sides = zip(np.asarray(at, np.float64).T, size, grid, features or grid, strict=True)
    return np.stack([cells_to_pixels(*side) for side in sides], 1)


def blend(image: Rgb, over: Rgb, opacity: float) -> Rgb:
    """A mix of two pictures.

    Args:
        image: the lower picture.
        over: the upper picture, of the same size.
        opacity: weight of the upper picture, in [0, 1].

    Raises:
        ValueError: the sizes differ, or the opacity is outside [0, 1].
    """
    if image.shape != over.shape:
        raise ValueError(
            f"pictures of {image.shape} and {over.shape} cannot be blended; stretch one to the size of the other"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is out of range; use 0 to 1")
    mixed = image.astype(np.float32) * (1 - opacity) + over.astype(np.float32) * opacity
    return np.round(mixed).astype(np.uint8)


def label_picture(labels: Labels, classes: ClassSet) -> Rgb:
    """Each pixel in the colour of its class; black where the index is not a class, such as void."""
    table = np.full((256, 3), VOID_COLOUR, np.uint8)
    table[: len(classes.names)] = classes.colours
    picture: np.ndarray = table[labels]
    return picture


def label_overlay(
    image: Rgb, labels: Labels, classes: ClassSet, opacity: float = 0.6, shown: Sequence[int] | None = None
) -> Rgb:
    """The classes' colours over the picture: all classes, or only those in `shown`; void is left bare."""
    over = blend(image, label_picture(labels, classes), opacity)
    visible = labels < len(classes.names) if shown is None else np.isin(labels, list(shown))
    return np.where(visible[:, :, None], over, image)


@dataclass(frozen=True)
class LegendEntry:
    """One class of a legend; `share` is the share of the picture's pixels that it covers, in [0, 1]."""

    index: int
    name: str
    colour: tuple[int, int, int]
    share: float


def legend(labels: Labels, classes: ClassSet) -> tuple[LegendEntry, ...]:
    """All classes in index order, each with its share of the pixels."""
    counts = np.bincount(labels.ravel(), minlength=256) / max(labels.size, 1)
    rows = zip(classes.names, classes.palette, counts, strict=False)
    return tuple(LegendEntry(index, name, colour, float(share)) for index, (name, colour, share) in enumerate(rows))


@dataclass(frozen=True)
class Disagreement:
    """Where several label maps differ.

    Attributes:
        distinct: number of different classes that the models predict; 1 where all agree.
        agreement: share of the models that predict the most frequent class, in (0, 1].
    """

    distinct: UInt8[np.ndarray, "height width"]
    agreement: Float32[np.ndarray, "height width"]


def disagreement(label_maps: Sequence[Labels]) -> Disagreement:
    """Counts the models' votes at every pixel.

    Raises:
        ValueError: there is no label map, or the sizes differ.
    """
    if not label_maps:
        raise ValueError("no label map was given; give at least one")
    if len({one.shape for one in label_maps}) > 1:
        raise ValueError("the label maps differ in size; predict on the same picture")
    distinct = np.zeros(label_maps[0].shape, np.uint8)
    most = np.zeros(label_maps[0].shape, np.uint8)
    counts = sum(np.bincount(one.ravel(), minlength=256) for one in label_maps)
    for index in np.flatnonzero(counts):
        votes = np.zeros(distinct.shape, np.uint8)
        for one in label_maps:
            votes += one == index
        distinct += votes > 0
        np.maximum(most, votes, out=most)
    return Disagreement(distinct, (most / len(label_maps)).astype(np.float32))
