"""Augmentation for training, on the device where the pictures lie: scale, crop, flip, colour; labels in step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from segviz.data.classes import VOID

SCALES = (0.7, 2.0)
BRIGHTNESS, CONTRAST, SATURATION = 0.4, 0.4, 0.6
CHANNEL_GAIN = 0.15
GAMMA = (0.65, 1.55)  # dusk to glare
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class View:
    """One way to look at a labelled picture, drawn by chance on the CPU and applied on any device.

    Attributes:
        size: the picture's (height, width) after scaling, in pixels.
        corner: the crop's upper left corner in the scaled picture; negative where the crop reaches beyond it.
        flip: mirrored left to right.
        gamma: exponent on colours in [0, 1].
        colour: 3 x 4, an affine map of colours in [0, 1], applied after gamma.
    """

    size: tuple[int, int]
    corner: tuple[int, int]
    flip: bool
    gamma: float
    colour: Float[np.ndarray, "3 4"]


def random_view(
    size: tuple[int, int], crop: tuple[int, int], rng: np.random.Generator, focus: tuple[int, int] | None = None
) -> View:
    """A random view of a picture.

    Args:
        size: the picture's (height, width).
        crop: the view's (height, width).
        rng: the source of chance.
        focus: a (y, x) of the picture that must lie inside the view.
    """
    factor = float(np.exp(rng.uniform(*np.log(SCALES))))
    scaled = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    corner = [
        start(scaled[axis], crop[axis], rng, None if focus is None else int(focus[axis] * scaled[axis] / size[axis]))
        for axis in (0, 1)
    ]
    gamma = float(np.exp(rng.uniform(*np.log(GAMMA))))
    return View(scaled, (corner[0], corner[1]), bool(rng.random() < 0.5), gamma, random_colour(rng))


def start(length: int, crop: int, rng: np.random.Generator, focus: int | None) -> int:
    """Where a crop starts along one axis; as little of it as possible reaches beyond the picture."""
    low, high = min(0, length - crop), max(0, length - crop)
    if focus is not None:
        low, high = max(low, focus - crop + 1), min(high, focus)
    return int(rng.integers(low, high + 1))


def random_colour(rng: np.random.Generator) -> Float[np.ndarray, "3 4"]:
    """Brightness, contrast, saturation and white balance changed at random."""
    brightness, contrast, saturation = (1 + rng.uniform(-s, s) for s in (BRIGHTNESS, CONTRAST, SATURATION))
    mix = saturation * np.eye(3) + (1 - saturation) * np.full((3, 3), LUMA)
    mix = contrast * brightness * np.diag(1 + rng.uniform(-CHANNEL_GAIN, CHANNEL_GAIN, 3)) @ mix
    return np.hstack((mix, np.full((3, 1), 0.5 * (1 - contrast))))


def seen(
    image: UInt8[Tensor, "height width 3"], labels: UInt8[Tensor, "height width"], view: View, crop: tuple[int, int]
) -> tuple[Float[Tensor, "3 crop_height crop_width"], Int64[Tensor, "crop_height crop_width"]]:
    """The view of a picture as the network's input in [-1, 1], and its labels.

    What lies outside the picture is black and void. Labels take the nearest pixel, so that no class is invented.
    """
    # As much of the source as the crop shows: the scaled window, and where it lands in the crop.
    spans = [window(view.corner[axis], crop[axis], view.size[axis]) for axis in (0, 1)]
    (top, bottom), (left, right) = spans
    picture = F.interpolate(
        image.permute(2, 0, 1)[None].float(), view.size, mode="bilinear", antialias=view.size[0] < image.shape[0]
    )[0, :, top:bottom, left:right]
    classes = F.interpolate(labels[None, None], view.size, mode="nearest-exact")[0, 0, top:bottom, left:right]
    canvas = torch.full((3, *crop), -1.0, device=image.device)
    void = torch.full(crop, VOID, dtype=torch.int64, device=image.device)
    place = (slice(top - view.corner[0], bottom - view.corner[0]), slice(left - view.corner[1], right - view.corner[1]))
    canvas[(slice(None), *place)] = coloured(picture / 255, view) * 2 - 1
    void[place] = classes.long()
    return (canvas.flip(2), void.flip(1)) if view.flip else (canvas, void)


def window(corner: int, crop: int, length: int) -> tuple[int, int]:
    """The part of `[corner, corner + crop)` that lies on `[0, length)`."""
    return max(corner, 0), min(corner + crop, length)


def coloured(picture: Float[Tensor, "3 height width"], view: View) -> Float[Tensor, "3 height width"]:
    """Colours in [0, 1] after the view's gamma and colour map."""
    matrix = torch.tensor(view.colour, dtype=torch.float32, device=picture.device)
    powered = picture.clamp(0, 1) ** view.gamma
    return (torch.einsum("ij,jhw->ihw", matrix[:, :3], powered) + matrix[:, 3, None, None]).clamp(0, 1)
