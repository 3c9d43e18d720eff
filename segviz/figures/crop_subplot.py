"""A map of a crop over the whole picture: it is drawn as over the crop alone, and moved to where the crop lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segviz.attention.region import Region
from segviz.figures.content import Heat, Points
from segviz.figures.subplot import Box, Mark, Subplot
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.text import pixel_text

FRAME_COLOUR = "#333333"


def bare_crop(region: Region) -> Rgb:
    """A black picture of a crop's size, over which its map can be drawn; it takes no memory."""
    return np.broadcast_to(np.uint8(0), (*region.size, 3))


def frame_of_crop(region: Region) -> Box:
    """The dashed frame of what the network saw."""
    bottom, right = region.top + region.height, region.left + region.width
    return Box(region.top, region.left, bottom, right, FRAME_COLOUR, dashed=True)


def move_to_picture(
    alone: Subplot, image: Rgb, region: Region, place: Place | None, marks: Sequence[Mark] = ()
) -> Subplot:
    """A subplot of a crop alone, moved to the crop's place in the picture.

    Args:
        alone: the map over the crop, in the crop's pixels.
        image: the picture.
        region: the crop.
        place: the pixel (y, x) of the picture that is shown; None for a map that depends on none.
        marks: the marks, in the picture's pixels; those of `alone` are left out.
    """
    corner = np.array([region.top, region.left], np.float32)
    title, name, content = alone.title, alone.name, alone.content
    if place is not None:
        inside = region.inside(place)
        title = title.replace(pixel_text(*inside), pixel_text(*place))
        name = name.replace(f"_{inside[0]}_{inside[1]}", f"_{place[0]}_{place[1]}")
    if isinstance(content, Heat):
        content = replace(content, region=region)
    elif isinstance(content, Points):
        content = replace(content, at=content.at + corner, undisplaced=content.undisplaced + corner)
    boxes = tuple(move_box(one, region) for one in alone.boxes)
    return replace(
        alone, title=title, name=name, image=image, content=content, marks=tuple(marks),
        place=None if alone.place is None else place, boxes=(frame_of_crop(region), *boxes),
    )  # fmt: skip


def move_box(box: Box, region: Region) -> Box:
    """A box in a crop's pixels, in the picture's."""
    return replace(
        box,
        top=box.top + region.top,
        bottom=box.bottom + region.top,
        left=box.left + region.left,
        right=box.right + region.left,
    )
