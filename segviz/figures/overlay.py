"""Maps and labels laid over the picture: stretched to its size, blended, outlined, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int, UInt8

from segviz.attention.maps import AttendedFeatures, OffsetMaskAttention, SpatialMap
from segviz.data.classes import VOID_COLOUR, ClassSet

Rgb = UInt8[np.ndarray, "height width 3"]
Labels = UInt8[np.ndarray, "height width"]
Size = tuple[int, int]


def stretch(
    values: Float[np.ndarray, "rows columns"], size: Size, align_corners: bool = False, smooth: bool = True
) -> Float32[np.ndarray, "height width"]:
    """A map over the grid stretched to the picture's (height, width).

    Args:
        values: one value a cell.
        size: the picture's.
        align_corners: the corner cells' centres lie on the corner pixels' (PSA); half-pixel centres if not.
        smooth: bilinear between cells' centres; the value of each pixel's own cell if not.
    """
    if not smooth:
        rows, columns = (cells_along_side(*line, align_corners) for line in zip(size, values.shape, strict=True))
        blocks: np.ndarray = values[np.ix_(rows, columns)].astype(np.float32)
        return blocks
    tensor = torch.from_numpy(np.array(values, np.float32))[None, None]
    stretched: np.ndarray = F.interpolate(tensor, size, mode="bilinear", align_corners=align_corners)[0, 0].numpy()
    return stretched


def cells_along_side(pixels: int, cells: int, align_corners: bool) -> Int[np.ndarray, " pixels"]:
    """The cell of each pixel along one side, as `cell` of a map has it."""
    at = np.arange(pixels)
    if align_corners:
        return np.round(at * (cells - 1) / max(pixels - 1, 1)).astype(np.int64)
    return np.floor((at + 0.5) * cells / pixels).astype(np.int64)


def stretch_map(
    one: SpatialMap | AttendedFeatures, values: Float[np.ndarray, "rows columns"], size: Size
) -> Float32[np.ndarray, "height width"]:
    """Values on a map's grid at the picture's size, by the rule that the map's grid was made with."""
    return stretch(values, size, has_aligned_corners(one))


def has_aligned_corners(one: SpatialMap | AttendedFeatures) -> bool:
    """Whether the grid's corners lie on the picture's, as on PSA's shrunk grid."""
    return isinstance(one, OffsetMaskAttention)


def pixel_of_cell(
    at: Float[np.ndarray, "points 2"], size: Size, grid: Size, align_corners: bool = False
) -> Float[np.ndarray, "points 2"]:
    """Places (y, x) in grid cells as places in image pixels; both count from the centre of the first one."""
    if align_corners:
        factor = (np.array(size, np.float64) - 1) / np.maximum(np.array(grid) - 1, 1)
        placed: np.ndarray = np.asarray(at, np.float64) * factor
    else:
        placed = (np.asarray(at, np.float64) + 0.5) * np.array(size) / np.array(grid) - 0.5
    return placed


def blend(image: Rgb, over: Rgb, opacity: float) -> Rgb:
    """The picture with another over it.

    Args:
        image: below.
        over: above, of the same size.
        opacity: 0 shows the picture alone, 1 the other one alone.

    Raises:
        ValueError: the sizes differ, or the opacity is not in [0, 1].
    """
    if image.shape != over.shape:
        raise ValueError(f"a picture of {image.shape} cannot be blended with one of {over.shape}; stretch one of them")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is out of range; use 0 to 1")
    mixed = image.astype(np.float32) * (1 - opacity) + over.astype(np.float32) * opacity
    return np.round(mixed).astype(np.uint8)


def label_picture(labels: Labels, classes: ClassSet) -> Rgb:
    """Each pixel in the colour of its class; black where the index is no class, such as void."""
    table = np.full((256, 3), VOID_COLOUR, np.uint8)
    table[: len(classes.names)] = classes.colours
    picture: np.ndarray = table[labels]
    return picture


def label_overlay(
    image: Rgb, labels: Labels, classes: ClassSet, opacity: float = 0.6, shown: Sequence[int] | None = None
) -> Rgb:
    """The classes' colours over the picture; with `shown`, only these classes, and the picture bare elsewhere."""
    over = blend(image, label_picture(labels, classes), opacity)
    visible = labels < len(classes.names) if shown is None else np.isin(labels, list(shown))
    return np.where(visible[:, :, None], over, image)


@dataclass(frozen=True)
class LegendEntry:
    """One class of a legend; `share` is its share of the picture's pixels, in [0, 1]."""

    index: int
    name: str
    colour: tuple[int, int, int]
    share: float


def legend(labels: Labels, classes: ClassSet) -> tuple[LegendEntry, ...]:
    """All classes in index order, with the share of pixels that each has."""
    counts = np.bincount(labels.ravel(), minlength=256) / max(labels.size, 1)
    rows = zip(classes.names, classes.palette, counts, strict=False)
    return tuple(LegendEntry(index, name, colour, float(share)) for index, (name, colour, share) in enumerate(rows))


@dataclass(frozen=True)
class Disagreement:
    """Where several label maps differ.

    Attributes:
        distinct: how many different classes the models voted for; 1 where all agree.
        agreement: the share of the models that voted for the most frequent class, in (0, 1].
    """

    distinct: UInt8[np.ndarray, "height width"]
    agreement: Float32[np.ndarray, "height width"]


def disagreement(label_maps: Sequence[Labels]) -> Disagreement:
    """Counts the models' votes for every pixel.

    Raises:
        ValueError: there is no label map, or their sizes differ.
    """
    if not label_maps:
        raise ValueError("there is nothing to compare; give at least one label map")
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


def outlines(labels: Labels, width: int = 1) -> Bool[np.ndarray, "height width"]:
    """True on the pixels within `width` of a border between classes, on both sides of it."""
    edge = np.zeros(labels.shape, bool)
    for step in range(1, width + 1):
        down, along = labels[step:] != labels[:-step], labels[:, step:] != labels[:, :-step]
        edge[step:] |= down
        edge[:-step] |= down
        edge[:, step:] |= along
        edge[:, :-step] |= along
    return edge


def outlined(image: Rgb, labels: Labels, colour: tuple[int, int, int] = (255, 255, 255), width: int = 1) -> Rgb:
    """The picture with the borders between classes drawn in one colour, for eyes that cannot tell hues apart."""
    picture = image.copy()
    picture[outlines(labels, width)] = colour
    return picture
