"""A prediction from sliding crops: labels of their averaged scores, and the maps of the crops at chosen places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import AttendedFeatures, AttentionMap, Grid, detach
from segviz.attention.region import Region
from segviz.data.classes import ClassSet
from segviz.image import Rgb
from segviz.models.picture_input import PictureInput
from segviz.models.segmenter import BlockNetwork
from segviz.prediction.crops import CropGrid, CropMean, place_crops
from segviz.prediction.prediction import CropView, Place, Prediction
from segviz.prediction.predictor import channel_means, classify
from segviz.runtime.mmap_copy import copy_array


def slide_crops(
    network: BlockNetwork,
    expects: PictureInput,
    name: str,
    classes: ClassSet,
    picture: Rgb,
    seen: Rgb,
    places: Sequence[Place],
) -> tuple[Prediction, ...]:
    """A prediction for each place: all have the same labels, and the maps of the crop nearest to their place.

    Args:
        network: in eval mode.
        expects: what it expects of a picture, with its crops.
        name: what to call it.
        classes: its classes.
        picture: the picture at its own size.
        seen: the picture at the size at which crops are slid over it.
        places: pixels (y, x) of the picture.

    Raises:
        ValueError: the network has no crops, or a place lies outside the picture.
    """
    if expects.crop is None:
        raise ValueError(f"'{name}' has no size for crops; show the picture whole")
    own, size = (picture.shape[0], picture.shape[1]), (seen.shape[0], seen.shape[1])
    grid = place_crops(size, expects.crop, expects.step)
    wanted = [grid.nearest(scale_place(place, own, size)) for place in places]
    padded = grid.pad(expects.prepare(seen, next(network.parameters()).device))
    mean = CropMean(grid, len(classes.names), padded.device)
    kept: dict[int, tuple[tuple[AttentionMap, ...], AttendedFeatures]] = {}
    for number in range(len(grid.corners)):
        result = network(grid.cut(padded, range(number, number + 1)).contiguous(memory_format=torch.channels_last))
        mean.add(number, result.logits[0].float().softmax(0))
        if number in wanted:
            kept[number] = tuple(detach(result.attended.maps[0])), detach([channel_means(result)])[0]
    labels, confidence = (copy_array(one) for one in classify(mean.mean(), own, shares=True))
    averaged, image = mean.mean(padded=True), copy_array(seen)
    views = {number: view_crop(grid, number, averaged, seen, expects, own) for number in kept}
    return tuple(
        Prediction(
            name, labels, confidence, classes, {one.name: one for one in kept[number][0]}, kept[number][1],
            image=image, crop=views[number],
        )
        for number in wanted
    )  # fmt: skip


def view_crop(
    grid: CropGrid, number: int, averaged: Float[Tensor, "classes _ _"], seen: Rgb, expects: PictureInput, own: Grid
) -> CropView:
    """A crop as the network saw it, with its pixels' averaged answers."""
    (top, left), (height, width) = grid.corners[number], grid.crop
    labels, confidence = classify(averaged[:, top : top + height, left : left + width], grid.crop, shares=True)
    regions = regions_of(grid, own)
    image = cut_seen(grid, number, seen, expects)
    return CropView(regions[number], copy_array(image), copy_array(labels), copy_array(confidence), regions)


def cut_crop(expects: PictureInput, picture: Rgb, seen: Rgb, place: Place) -> tuple[Region, Rgb]:
    """The crop nearest to a place: where it lies in the picture, and its pixels as the network sees them.

    Args:
        expects: what the network expects of a picture, with its crops.
        picture: the picture at its own size.
        seen: the picture at the size at which crops are slid over it.
        place: a pixel (y, x) of the picture.

    Raises:
        ValueError: the network has no crops, or the place lies outside the picture.
    """
    if expects.crop is None:
        raise ValueError("the network has no size for crops; show the picture whole")
    own, size = (picture.shape[0], picture.shape[1]), (seen.shape[0], seen.shape[1])
    grid = place_crops(size, expects.crop, expects.step)
    number = grid.nearest(scale_place(place, own, size))
    return regions_of(grid, own)[number], cut_seen(grid, number, seen, expects)


def cut_seen(grid: CropGrid, number: int, seen: Rgb, expects: PictureInput) -> Rgb:
    """A crop's pixels; where the picture was padded, the network's mean colour, rounded to whole steps."""
    (top, left), (height, width), (above, before) = grid.corners[number], grid.crop, grid.before
    padded = np.empty((*grid.padded, 3), np.uint8)
    padded[:] = np.round(255 * np.array(expects.mean)).clip(0, 255)
    padded[above : above + seen.shape[0], before : before + seen.shape[1]] = seen
    return padded[top : top + height, left : left + width]


def regions_of(grid: CropGrid, own: Grid) -> tuple[Region, ...]:
    """Where the crops lie in a picture whose own size is (height, width), row by row."""
    down, along = own[0] / grid.picture[0], own[1] / grid.picture[1]
    height, width = grid.crop
    return tuple(
        Region(round(one.top * down), round(one.left * along), round(height * down), round(width * along))
        for one in grid.regions
    )


def scale_place(place: Place, own: Grid, size: Grid) -> Place:
    """The pixel of a resized picture that has a pixel of the picture; outside stays outside."""
    y, x = (int((at + 0.5) * to / of) if 0 <= at < of else -1 for at, of, to in zip(place, own, size, strict=True))
    return y, x
