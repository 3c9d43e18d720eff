"""Augmentation for training: scaling, cropping, flipping, and colour jitter, with labels kept in step."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from segviz.data.classes import VOID

SCALES = (0.6, 1.7)
BRIGHTNESS, CONTRAST, SATURATION = 0.3, 0.3, 0.4
CHANNEL_GAIN = 0.1
Pair = tuple[UInt8[np.ndarray, "_ _ 3"], UInt8[np.ndarray, "_ _"]]


def augment(
    image: UInt8[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
    crop: tuple[int, int],
    rng: np.random.Generator,
) -> Pair:
    """A random view of one labelled picture.

    Args:
        image: RGB.
        labels: class indices; 255 is void.
        crop: the (height, width) of the result; what lies outside the picture is black and void.
        rng: the source of chance.
    """
    image, labels = scaled(image, labels, float(np.exp(rng.uniform(*np.log(SCALES)))))
    image, labels = cropped(image, labels, crop, rng)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(jittered(image, rng)), np.ascontiguousarray(labels)


def scaled(image: np.ndarray, labels: np.ndarray, factor: float) -> Pair:
    """Both resized; labels by the nearest pixel, so that no class is invented."""
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=smooth), cv2.resize(
        labels, size, interpolation=cv2.INTER_NEAREST_EXACT
    )


def cropped(image: np.ndarray, labels: np.ndarray, crop: tuple[int, int], rng: np.random.Generator) -> Pair:
    """A window at a random place, filled up with void where the picture is smaller."""
    view = np.zeros((*crop, 3), np.uint8)
    void = np.full(crop, VOID, np.uint8)
    height, width = min(crop[0], labels.shape[0]), min(crop[1], labels.shape[1])
    y, x = rng.integers(labels.shape[0] - height + 1), rng.integers(labels.shape[1] - width + 1)
    to_y, to_x = rng.integers(crop[0] - height + 1), rng.integers(crop[1] - width + 1)
    view[to_y : to_y + height, to_x : to_x + width] = image[y : y + height, x : x + width]
    void[to_y : to_y + height, to_x : to_x + width] = labels[y : y + height, x : x + width]
    return view, void


def jittered(image: np.ndarray, rng: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """Brightness, contrast, saturation and white balance changed at random, by one affine map of colours."""
    brightness, contrast, saturation = (1 + rng.uniform(-s, s) for s in (BRIGHTNESS, CONTRAST, SATURATION))
    grey = np.full((3, 3), (0.299, 0.587, 0.114))
    mix = saturation * np.eye(3) + (1 - saturation) * grey
    mix = contrast * brightness * np.diag(1 + rng.uniform(-CHANNEL_GAIN, CHANNEL_GAIN, 3)) @ mix
    offset = np.full((3, 1), 128 * (1 - contrast))
    return cv2.transform(image, np.hstack((mix, offset)).astype(np.float32))
