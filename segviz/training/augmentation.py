"""Augmentation on the training device: scale, rotation, crop, flip, blur and colour, the labels in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from segviz.data.classes import VOID
from segviz.training.view_range import STREET_VIEWS, ViewRange

STREET_AMOUNTS, COMMON_AMOUNTS = (0.4, 0.4, 0.6), (0.5, 0.5, 0.5)  # brightness, contrast, saturation
CHANNEL_GAIN = 0.15
GAMMA = (0.65, 1.55)  # dusk to glare
LUMA = (0.299, 0.587, 0.114)
BLUR_SIDE, BLUR_DEVIATION = 5, 1.1  # pixels


@dataclass(frozen=True)
class View:
    """A random view of a labelled picture: drawn on the CPU, applied on any device.

    Attributes:
        size: the picture's (height, width) after scaling, in pixels.
        corner: the crop's upper left corner in the scaled picture; negative if the crop extends beyond it.
        flip: whether it is mirrored left to right.
        gamma: exponent on colours in [0, 1].
        colour: 3 x 4, an affine map of colours in [0, 1], applied after gamma.
        angle: by how many degrees its content is turned, counterclockwise.
        pivot: (y, x) in the scaled picture around which it is turned; None: the crop's centre.
        blur: whether a Gaussian blurs it.
    """

    size: tuple[int, int]
    corner: tuple[int, int]
    flip: bool
    gamma: float
    colour: Float[np.ndarray, "3 4"]
    angle: float = 0.0
    pivot: tuple[float, float] | None = None
    blur: bool = False


def random_view(
    size: tuple[int, int],
    crop: tuple[int, int],
    rng: np.random.Generator,
    focus: tuple[int, int] | None = None,
    views: ViewRange = STREET_VIEWS,
) -> View:
    """Draw a random view of a picture.

    Args:
        size: the picture's (height, width).
        crop: the view's (height, width).
        rng: the source of randomness.
        focus: a pixel (y, x) of the picture that the view must contain.
        views: what may be drawn.
    """
    factor = random_scale(rng, views)
    scaled = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    aims = [None if focus is None else int(focus[axis] * scaled[axis] / size[axis]) for axis in (0, 1)]
    corner = [crop_start(scaled[axis], crop[axis], rng, aims[axis]) for axis in (0, 1)]
    street = views.colours == "street"
    gamma = float(np.exp(rng.uniform(*np.log(GAMMA)))) if street else 1.0
    flip = bool(rng.random() < 0.5) and views.mirror
    colour = np.eye(3, 4) if views.colours == "none" else random_colour(rng, street)
    angle = float(rng.uniform(-views.rotation, views.rotation)) if views.rotation else 0.0
    pivot = None if focus is None else tuple((focus[axis] + 0.5) * scaled[axis] / size[axis] for axis in (0, 1))
    blur = bool(views.blur and rng.random() < views.blur)
    return View(scaled, (corner[0], corner[1]), flip, gamma, colour, angle, pivot, blur)  # type: ignore[arg-type]


def random_scale(rng: np.random.Generator, views: ViewRange) -> float:
    """A factor on the picture's size."""
    if rng.random() < views.own_scale:
        return 1.0
    if views.scales.between:
        return float(np.exp(rng.uniform(*np.log(views.scales.values))))
    return float(rng.choice(views.scales.values))


def crop_start(length: int, crop: int, rng: np.random.Generator, focus: int | None) -> int:
    """A random start of a crop along one axis; as little of it as possible extends beyond the picture."""
    low, high = min(0, length - crop), max(0, length - crop)
    if focus is not None:
        low, high = max(low, focus - crop + 1), min(high, focus)
    return int(rng.integers(low, high + 1))


def random_colour(rng: np.random.Generator, street: bool = True) -> Float[np.ndarray, "3 4"]:
    """A random change of brightness, contrast and saturation, and in streets of white balance."""
    amounts = STREET_AMOUNTS if street else COMMON_AMOUNTS
    brightness, contrast, saturation = (1 + rng.uniform(-s, s) for s in amounts)
    mix = saturation * np.eye(3) + (1 - saturation) * np.full((3, 3), LUMA)
    gains = 1 + rng.uniform(-CHANNEL_GAIN, CHANNEL_GAIN, 3) if street else np.ones(3)
    mix = contrast * brightness * np.diag(gains) @ mix
    return np.hstack((mix, np.full((3, 1), 0.5 * (1 - contrast))))


def apply_views(
    pictures: Sequence[tuple[UInt8[Tensor, "_ _ 3"], UInt8[Tensor, "_ _"]]],
    views: Sequence[View],
    crop: tuple[int, int],
) -> tuple[Float[Tensor, "batch 3 crop_height crop_width"], Int64[Tensor, "batch crop_height crop_width"]]:
    """Apply one view to each labelled picture; gives colours in [-1, 1] and labels, on the pictures' device.

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
    if blurred := [number for number, view in enumerate(views) if view.blur]:
        images[blurred] = gaussian_blur(images[blurred], [BLUR_SIDE, BLUR_SIDE], [BLUR_DEVIATION, BLUR_DEVIATION])
    images = (change_colours(images, views) * 2 - 1).masked_fill(outside[:, None], -1)
    return images.contiguous(memory_format=torch.channels_last), labels.masked_fill(outside, VOID)


def sampling_grid(
    views: Sequence[View], crop: tuple[int, int], device: torch.device
) -> Float[Tensor, "batch crop_height crop_width 2"]:
    """The position (x, y) of each view pixel's centre in its picture, from -1 at one border to 1 at the other."""
    if any(view.angle for view in views):
        return torch.stack([rotated_grid(view, crop, device) for view in views])
    corners, lengths = (np.array([getattr(view, name) for view in views]) for name in ("corner", "size"))
    ys, xs = (
        ((corners[:, axis, None] + np.arange(crop[axis]) + 0.5) * 2 / lengths[:, axis, None] - 1).astype(np.float32)
        for axis in (0, 1)
    )
    xs = np.where(np.array([view.flip for view in views])[:, None], xs[:, ::-1], xs)
    rows, columns = (torch.from_numpy(axis).to(device, non_blocking=True) for axis in (ys, xs))
    shape = (len(views), *crop)
    return torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), 3)


def rotated_grid(view: View, crop: tuple[int, int], device: torch.device) -> Float[Tensor, "crop_height crop_width 2"]:
    """The same for one view, which is turned."""
    ys, xs = (view.corner[axis] + np.arange(crop[axis]) + 0.5 for axis in (0, 1))
    xs = xs[::-1] if view.flip else xs
    pivot = view.pivot or [view.corner[axis] + crop[axis] / 2 for axis in (0, 1)]
    down, right = (torch.from_numpy(axis - at).to(device) for axis, at in ((ys, pivot[0]), (xs, pivot[1])))
    cosine, sine = float(np.cos(np.deg2rad(view.angle))), float(np.sin(np.deg2rad(view.angle)))
    rows = pivot[0] + cosine * down[:, None] + sine * right
    columns = pivot[1] - sine * down[:, None] + cosine * right
    return torch.stack((columns * 2 / view.size[1] - 1, rows * 2 / view.size[0] - 1), 2).float()


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
