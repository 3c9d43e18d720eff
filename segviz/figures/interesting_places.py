"""Default places and boxes: inside large classes, where models disagree, where weights are largest."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import cv2
import numpy as np
import torch
from jaxtyping import Float

from segviz.attention.cells import CellClasses, Labels, cell_classes, has_pixel_in_each_cell
from segviz.attention.maps import Grid, SpatialMap, StripAttention
from segviz.attention.statistics import class_share, normalised_entropy
from segviz.figures.overlay import disagreement, pixel_of_cell
from segviz.figures.subplot import Box
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.scales import PEAKED

BOX_COLOUR, CELL_COLOUR = "#F0E442", "#1a1a1a"
BOX_SIDE = 0.3  # share of the picture's sides
LETTERS = "abcde"  # names of the strongest cells; statistics.js has the same
SEARCHED_SIDE = 640  # the most pixels along a side among which a place is sought
LARGE = 1 / 32  # the least share of the picture of a class that a first point lies in
CLEAREST = "where this model's map is clearest for its own class"
LARGEST_CLASS = "in the middle of the largest class"
MOST_DISPUTED = "in the middle of the widest area where the classes differ"
NEAR = 2  # cells around the queried cell in which no strongest cell is sought


def default_places(labels: Labels, count: int) -> tuple[Place, ...]:
    """The innermost pixel (y, x) of each of the `count` largest classes, largest first."""
    sizes = np.bincount(labels.ravel(), minlength=256)
    places = []
    for index in np.argsort(-sizes, kind="stable")[:count]:
        if not sizes[index]:
            break
        inside = np.pad((labels == index).astype(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(np.argmax(depth)), labels.shape)
        places.append((int(y), int(x)))
    return tuple(places)


def find_read_strips(strips: StripAttention, size: tuple[int, int]) -> tuple[Place, ...]:
    """A pixel (y, x) in the middle of each of two strips that are read, from left to right or from the top down.

    The first is the strip with the largest mean weight over all places. The second is the one that adds most to it:
    the mean over all places of the larger of their weights on the two is largest. So each is read by many places, and
    not both by the same ones. One strip if the map has no other.

    Args:
        strips: the map.
        size: the picture's (height, width).
    """
    weights = (strips.queries @ strips.keys.T).softmax(1)
    first = int(weights.mean(0).argmax())
    gain = weights.maximum(weights[:, first : first + 1]).mean(0)
    gain[first] = -1.0
    height, width = size
    chosen = sorted({first, int(gain.argmax())})
    middles = [(one + 0.5) / len(strips.keys) for one in chosen]
    if strips.axis == "vertical":
        return tuple((height // 2, int(middle * width)) for middle in middles)
    return tuple((int(middle * height), width // 2) for middle in middles)


def telling_place(labels: Labels, one: SpatialMap | None) -> Place:
    """The pixel (y, x) whose map tells most: where a picture begins.

    Candidates are the innermost pixels of the classes that cover `LARGE` of the picture. Each counts by w log2(w / e)
    times the map's normalised entropy, where w is the map's weight on the pixel's class and e that of an even map: so
    the map singles out a class, and shows more than one cell. Maps without a weight above `PEAKED` times the even share
    come first. Without a map, if its cells are finer than the pixels, or if none counts, it is the innermost pixel of
    the largest class.

    Args:
        labels: the predicted classes.
        one: the map.
    """
    step = -(-max(labels.shape) // SEARCHED_SIDE)
    places = [(y * step, x * step) for y, x in default_places(labels[::step, ::step], 256)]
    large = [place for place in places if np.mean(labels == labels[place]) >= LARGE]
    if one is None or not large or not has_pixel_in_each_cell(one, labels.shape):
        return places[0]
    classes = cell_classes(one, labels)
    return max(large, key=lambda place: rank_place(one, place, labels.shape, classes))


def why_telling(labels: Labels, one: SpatialMap | None, place: Place) -> str:
    """Why `telling_place` chose this pixel, as the end of a sentence on where a page begins."""
    if one is None or not has_pixel_in_each_cell(one, labels.shape):
        return LARGEST_CLASS
    _, told = rank_place(one, place, labels.shape, cell_classes(one, labels))
    return CLEAREST if told > 0 else LARGEST_CLASS


def why_disputed(labels: Sequence[Labels], place: Place) -> str:
    """Why `disputed_place` chose this pixel, as the end of a sentence on where a page begins."""
    return MOST_DISPUTED if len({int(one[place]) for one in labels}) > 1 else LARGEST_CLASS


def disputed_place(labels: Sequence[Labels]) -> Place:
    """The innermost pixel (y, x) of where label maps differ; of the largest class where they agree or there is one."""
    step = -(-max(labels[0].shape) // SEARCHED_SIDE)
    small = [one[::step, ::step] for one in labels]
    differs = (disagreement(small).distinct > 1).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(differs, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape) if differs.any() else default_places(small[0], 1)[0]
    return int(y) * step, int(x) * step


def rank_place(one: SpatialMap, place: Place, size: tuple[int, ...], classes: CellClasses) -> tuple[bool, float]:
    """What `telling_place` compares: whether the pixel's map is not peaked, and how much it tells of its class."""
    cell = one.cell(*place, size[0], size[1])
    weights = one.attends_to(*cell)
    if not bool((weights >= 0).all() and (weights > 0).any()):
        return False, 0.0
    own = class_share(weights, torch.ones(one.grid), cell, classes)
    if not own.weight > own.even > 0:  # it has no class, or looks elsewhere
        return False, 0.0
    told = round(own.weight * log2(own.weight / own.even) * normalised_entropy(weights), 3)  # an even map tells nothing
    return told > 0 and float(weights.max()) * weights.numel() <= PEAKED, told


def box_around(place: Place, image: Rgb) -> Box:
    """A box centred on a place, moved to lie inside the picture."""
    height, width = image.shape[:2]
    tall, wide = height * BOX_SIDE, width * BOX_SIDE
    top, left = (
        float(np.clip(at - side / 2, 0, most - side))
        for at, side, most in zip(place, (tall, wide), (height, width), strict=True)
    )
    return Box(top, left, top + tall, left + wide, BOX_COLOUR)


def find_disputed_box(labels: Sequence[Labels], image: Rgb) -> tuple[Box, ...]:
    """A box around the place where the models disagree most; empty if they agree everywhere or there is only one."""
    differs = (disagreement(labels).distinct > 1).astype(np.float32)
    if not differs.any():
        return ()
    height, width = differs.shape
    size = (max(1, round(width * BOX_SIDE)), max(1, round(height * BOX_SIDE)))
    density: Float[np.ndarray, "height width"] = cv2.boxFilter(differs, -1, size, borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(int(np.argmax(density)), differs.shape)
    return (box_around((int(y), int(x)), image),)


def strongest_cells(values: Float[np.ndarray, "rows columns"], row: float, column: float) -> list[Grid]:
    """The cells with the largest positive weights, largest first, more than NEAR cells away from the queried place."""
    down, along = np.indices(values.shape)
    away = np.maximum(np.abs(down - row), np.abs(along - column)) > NEAR
    order = np.argsort(np.where(away, -values, np.inf), axis=None, kind="stable")[: len(LETTERS)]
    cells = (divmod(int(index), values.shape[1]) for index in order)
    return [cell for cell in cells if away[cell] and values[cell] > 0]


def cell_box(one: SpatialMap, cell: Grid, size: Grid, label: str) -> Box:
    """A box around a cell of a map, on a picture of size (height, width)."""
    return grid_box(cell, size, one.grid, one.feature_grid, label)


def grid_box(cell: Grid, size: Grid, grid: Grid, features: Grid | None, label: str) -> Box:
    """A box around a cell of a grid over (height, width) pixels; for `features` see `pixels_to_cells`."""
    ends = np.array([[cell[0] - 0.5, cell[1] - 0.5], [cell[0] + 0.5, cell[1] + 0.5]])
    (top, left), (bottom, right) = (pixel_of_cell(ends, size, grid, features) + 0.5).tolist()
    return Box(top, left, bottom, right, CELL_COLOUR, label)
