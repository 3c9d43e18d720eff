"""Augmentation on the training device: scale, crop, flip and colour, the labels in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from segviz.data.classes import VOID

SCALE_RANGE = (0.6, 1.8)
OWN_SCALE = 0.5  # share of the views at the picture's own scale, at which the model is used
BRIGHTNESS, CONTRAST, SATURATION = 0.4, 0.4, 0.6
CHANNEL_GAIN = 0.15
GAMMA = (0.65, 1.55)  # dusk to glare
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class View:
    """A random view of a labelled picture: drawn on the CPU, applied on any device.

    Attributes:
        size: the picture's (height, width) after scaling, in pixels.
        corner: the crop's upper left corner in the scaled picture; negative if the crop extends beyond it.
        flip: whether it is mirrored left to right.
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
    """Draw a random view of a picture.

    Args:
        size: the picture's (height, width).
        crop: the view's (height, width).
        rng: the source of randomness.
        focus: a pixel (y, x) of the picture that the view must contain.
    """
    factor = 1.0 if rng.random() < OWN_SCALE else float(np.exp(rng.uniform(*np.log(SCALE_RANGE))))
    scaled = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    corner = [
        crop_start(
            scaled[axis], crop[axis], rng, None if focus is None else int(focus[axis] * scaled[axis] / size[axis])
        )
        for axis in (0, 1)
    ]
    gamma = float(np.exp(rng.uniform(*np.log(GAMMA))))
    return View(scaled, (corner[0], corner[1]), bool(rng.random() < 0.5), gamma, random_colour(rng))


def crop_start(length: int, crop: int, rng: np.random.Generator, focus: int | None) -> int:
    """A random start of a crop along one axis; as little of it as possible extends beyond the picture."""
    low, high = min(0, length - crop), max(0, length - crop)
    if focus is not None:
        low, high = max(low, focus - crop + 1), min(high, focus)
    return int(rng.integers(low, high + 1))


def random_colour(rng: np.random.Generator) -> Float[np.ndarray, "3 4"]:
    """A random change of brightness, contrast, saturation and white balance."""
    brightness, contrast, saturation = (1 + rng.uniform(-s, s) for s in (BRIGHTNESS, CONTRAST, SATURATION))
    mix = saturation * np.eye(3) + (1 - saturation) * np.full((3, 3), LUMA)
    mix = contrast * brightness * np.diag(1 + rng.uniform(-CHANNEL_GAIN, CHANNEL_GAIN, 3)) @ mix
    return np.hstack((mix, np.full((3, 1), 0.5 * (1 - contrast))))


def apply_views(
    pictures: Sequence[tuple[UInt8[Tensor, "_ _ 3"], UInt8[Tensor, "_ _"]]],
    views: Sequence[View],
    crop: tuple[int, int],
) -> tuple[Float[Tensor, "batch 3 crop_height crop_width"], Int64[Tensor, "batch crop_height crop_width"]]:
    """Apply one view to each labelled picture; gives network input in [-1, 1] and labels, on the pictures' device.

    Outside the picture, views are black and void. Labels take the nearest pixel, so that no class is invented.
    """
    grid = sampling_grid(views, crop, pictures[0][0].device)
    if len({labels.shape for _, labels in pictures}) == 1:  # all at once
        images, labels = (torch.stack(parts) for parts in zip(*pictures, strict=True))
        images, labels = sample_grid(images, labels, grid)
    else:
        parts = [sample_grid(image[None], label[None], grid[i : i + 1]) for i, (image, label) in enumerate(pictures)]
        images, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    outside = (grid.abs() > 1).any(3)
    images = (change_colours(images, views) * 2 - 1).masked_fill(outside[:, None], -1)
    return images.contiguous(memory_format=torch.channels_last), labels.masked_fill(outside, VOID)


def sampling_grid(
    views: Sequence[View], crop: tuple[int, int], device: torch.device
) -> Float[Tensor, "batch crop_height crop_width 2"]:
    """The position (x, y) of each view pixel's centre in its picture, from -1 at one border to 1 at the other."""
    corners, lengths = (np.array([getattr(view, name) for view in views]) for name in ("corner", "size"))
    ys, xs = (
        ((corners[:, axis, None] + np.arange(crop[axis]) + 0.5) * 2 / lengths[:, axis, None] - 1).astype(np.float32)
        for axis in (0, 1)
    )
    xs = np.where(np.array([view.flip for view in views])[:, None], xs[:, ::-1], xs)
    rows, columns = (torch.from_numpy(axis).to(device, non_blocking=True) for axis in (ys, xs))
    shape = (len(views), *crop)
    return torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), 3)


def sample_grid(
    images: UInt8[Tensor, "batch height width 3"],
    labels: UInt8[Tensor, "batch height width"],
    grid: Float[Tensor, "batch crop_height crop_width 2"],
) -> tuple[Float[Tensor, "batch 3 crop_height crop_width"], Int64[Tensor, "batch crop_height crop_width"]]:
    """Sample colours in [0, 1] and labels at the grid's positions."""
    at = partial(F.grid_sample, grid=grid, padding_mode="border", align_corners=False)
    colours = at(images.permute(0, 3, 1, 2).float() / 255, mode="bilinear")
    return colours, at(labels[:, None].float(), mode="nearest")[:, 0].round().long()


def change_colours(
    images: Float[Tensor, "batch 3 height width"], views: Sequence[View]
) -> Float[Tensor, "batch 3 height width"]:
    """Apply each view's gamma and colour map to colours in [0, 1]."""
    changes = np.array([np.append(view.colour, view.gamma) for view in views], np.float32)
    change = torch.from_numpy(changes).to(images.device, non_blocking=True)
    gamma, colour = change[:, 12, None, None, None], change[:, :12].reshape(-1, 3, 4)
    mixed = torch.einsum("bij,bjhw->bihw", colour[:, :, :3], images.clamp(0, 1) ** gamma)
    return (mixed + colour[:, :, 3, None, None]).clamp(0, 1)
