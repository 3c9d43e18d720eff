"""Places that are worth a look when nobody named one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from segviz.image import Rgb
from segviz.views.overlay import disagreement
from segviz.views.sheet import Box, Place

BOX_COLOUR = "#F0E442"
BOX_SIDE = 0.3  # of the picture's sides
Labels = UInt8[np.ndarray, "height width"]


def default_places(labels: UInt8[np.ndarray, "height width"], count: int) -> tuple[Place, ...]:
    """Places worth asking about when nobody named one: the innermost pixel of each of the largest classes."""
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


def box_around(place: Place, image: Rgb) -> Box:
    """A box around a place, inside the picture."""
    height, width = image.shape[:2]
    tall, wide = height * BOX_SIDE, width * BOX_SIDE
    top, left = (
        float(np.clip(at - side / 2, 0, most - side))
        for at, side, most in zip(place, (tall, wide), (height, width), strict=True)
    )
    return Box(top, left, top + tall, left + wide, BOX_COLOUR)


def most_disputed(labels: Sequence[Labels], image: Rgb) -> tuple[Box, ...]:
    """A box on the place where the models disagree most; none where they agree everywhere, or there is but one."""
    differs = (disagreement(labels).distinct > 1).astype(np.float32)
    if not differs.any():
        return ()
    height, width = differs.shape
    size = (max(1, round(width * BOX_SIDE)), max(1, round(height * BOX_SIDE)))
    density: Float[np.ndarray, "height width"] = cv2.boxFilter(differs, -1, size, borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(int(np.argmax(density)), differs.shape)
    return (box_around((int(y), int(x)), image),)
