"""How a picture becomes the network's input: its size, padding and normalisation, and the way back to pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover
from segviz.image import LARGEST_PICTURE as LARGEST_PICTURE
from segviz.image import Rgb, SeenSize, check_size, largest_scale, resize
from segviz.models.picture_input import IMAGENET_MEAN, IMAGENET_STD
from segviz.text import join_choices, size_text

FitMode = Literal["stretch", "pad"]
USUAL_MULTIPLE = 32


@dataclass(frozen=True)
class Placement:
    """Where a picture's pixels are in the network's input.

    Attributes:
        picture: the picture's own (height, width).
        shown: the (height, width) to which it was resized.
        seen: the (height, width) of the input: `shown`, and padding below and at the right.
    """

    picture: Grid
    shown: Grid
    seen: Grid

    @property
    def covers(self) -> Cover:
        """Height and width of the input in those of the picture; above 1 where it was padded."""
        return self.seen[0] / self.shown[0], self.seen[1] / self.shown[1]

    def __str__(self) -> str:
        """How the network saw the picture, in words."""
        words = f"{size_text(self.seen)} pixels"
        if self.shown != self.picture:
            words += f", resized from {size_text(self.picture)}"
        if self.seen != self.shown:
            words += f", padded from {size_text(self.shown)}"
        return words


@dataclass(frozen=True)
class InputRules:
    """How a network takes pictures; what is None is found out from the network.

    Attributes:
        mean: of the input, in [0, 1], or in 0..255 where a value of it or of the std is above 1.
        std: in the same units.
        origin: where mean and std are from, in words.
        size: the (height, width) at which the network is to see pictures; None for the picture's own.
        fit: "stretch" or "pad".
        multiple: what both sides must be multiples of.
        trained_size: the (height, width) to try where the picture's own size is refused.
        bgr: whether blue comes first.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    origin: str = ""
    size: Grid | None = None
    fit: FitMode = "stretch"
    multiple: int | None = None
    trained_size: Grid | None = None
    bgr: bool = False

    def complete(self, model: nn.Module) -> InputRules:
        """The rules with a mean and a std: these, or those of the network's configuration, or ImageNet's."""
        mean, std, origin = own_normalisation(model)
        return replace(self, mean=self.mean or mean, std=self.std or std, origin=self.origin or origin)

    @property
    def unit(self) -> float:
        """What the brightest value of a pixel counts in the units of mean and std, see `brightest`."""
        return brightest(self.mean or IMAGENET_MEAN, self.std or IMAGENET_STD)


def brightest(mean: Sequence[float], std: Sequence[float]) -> float:
    """What the brightest value of a pixel counts in the units of a mean and a std: 255 if one is above 1, else 1."""
    return 255.0 if max(*mean, *std) > 1 else 1.0


def given_rules(mean: Sequence[float] | None, std: Sequence[float] | None, size: SeenSize, fit: FitMode) -> InputRules:
    """How a network takes pictures, as a user says it to `segviz.watch` and `segviz.load`.

    Raises:
        ValueError: mean and std do not go together or are no numbers for three channels, a std is not above 0, or the
            size or the fit cannot be used.
    """
    if (mean is None) != (std is None):
        raise ValueError("mean and std belong together; give both or neither")
    chosen, spread = as_triple("mean", mean), as_triple("std", std)
    if spread is not None and min(spread) <= 0:
        raise ValueError("std has a value that is not above 0; give the standard deviation of each channel")
    if fit not in get_args(FitMode):
        raise ValueError(f"fit={fit!r} is unknown; use {join_choices(map(repr, get_args(FitMode)))}")
    seen = check_size(size)
    return InputRules(chosen, spread, "as given" if chosen else "", seen if isinstance(seen, tuple) else None, fit)


def as_triple(what: str, values: Sequence[float] | None) -> tuple[float, ...] | None:
    """A number for each of the three channels.

    Raises:
        ValueError: there are others than three, or they are no finite numbers.
    """
    if values is None:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{what}={values!r} is no list of numbers; give one for each of R, G and B") from None
    if len(numbers) != 3:
        raise ValueError(f"{what} has {len(numbers)} numbers; give one for each of R, G and B")
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{what} has a value that is not a finite number; give one for each of R, G and B")
    return numbers


def place_picture(picture: Grid, size: Grid | None, multiple: int, fit: FitMode) -> Placement:
    """How to show a picture to a network.

    Args:
        picture: its (height, width).
        size: the (height, width) that the network takes; None is the picture's own size, at most `LARGEST_PICTURE`.
        multiple: what both sides of the input must be multiples of.
        fit: "stretch" resizes both sides to the input's; "pad" keeps the picture's ratio and pads.
    """
    if size is None:
        scale = largest_scale(*picture)
        wanted = max(1.0, picture[0] * scale), max(1.0, picture[1] * scale)
        if fit == "pad":
            shown = round(wanted[0]), round(wanted[1])
            return Placement(picture, shown, (round_up(shown[0], multiple), round_up(shown[1], multiple)))
        sides = tuple(max(multiple, round(side / multiple) * multiple) for side in wanted)
        return Placement(picture, (sides[0], sides[1]), (sides[0], sides[1]))
    if fit == "stretch":
        return Placement(picture, size, size)
    scale = min(size[0] / picture[0], size[1] / picture[1])
    shown = max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
    return Placement(picture, shown, size)


def round_up(side: int, multiple: int) -> int:
    """The next multiple."""
    return math.ceil(side / multiple) * multiple


def make_input(picture: Rgb, placement: Placement, rules: InputRules, like: Tensor | None) -> Tensor:
    """The input (1, 3, height, width): RGB less mean over std, padded with the mean's zeros.

    Args:
        picture: at its own size.
        placement: how it is shown.
        rules: with a mean and a std, see `InputRules.complete`.
        like: gives device and type.
    """
    mean, std = rules.mean or IMAGENET_MEAN, rules.std or IMAGENET_STD
    resized = torch.from_numpy(np.ascontiguousarray(resize(picture, placement.shown))).permute(2, 0, 1)[None].float()
    centre, spread = (torch.tensor(list(values)).reshape(1, 3, 1, 1) for values in (mean, std))
    values = (resized / (255 / rules.unit) - centre) / spread
    if rules.bgr:
        values = values.flip(1)
    bottom, right = (seen - shown for seen, shown in zip(placement.seen, placement.shown, strict=True))
    padded = F.pad(values, (0, right, 0, bottom))
    return padded if like is None else padded.to(like.device, like.dtype)


def patch_multiple(model: nn.Module) -> int:
    """What the input's sides should be multiples of: 32, or also the side of the network's patches.

    A patch is the kernel of the first convolution, if that is as large as its stride.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            kernel, stride = module.kernel_size[0], module.stride[0]
            if kernel == stride and kernel > 1 and USUAL_MULTIPLE % kernel:
                return kernel
            break
    return USUAL_MULTIPLE


def own_size(model: nn.Module) -> Grid | None:
    """The input size that a network says it has: timm's and torchvision's vision transformers, transformers' config."""
    embed = getattr(model, "patch_embed", None)
    config = getattr(model, "pretrained_cfg", None)
    for value in (
        getattr(embed, "img_size", None),
        config.get("input_size") if isinstance(config, dict) else None,
        getattr(model, "image_size", None),
        getattr(getattr(model, "config", None), "image_size", None),
    ):
        if (size := as_size(value)) is not None:
            return size
    return None


def size_of_part(model: nn.Module) -> Grid | None:
    """The input size in the configuration of a part, as transformers has them: not every network demands it."""
    settings = getattr(model, "config", None)
    parts = (getattr(settings, name, None) for name in ("vision_config", "backbone_config"))
    return next((size for part in parts if (size := as_size(getattr(part, "image_size", None))) is not None), None)


def as_size(value: object) -> Grid | None:
    """A side, or numbers of which the last two are height and width, as (height, width); None for anything else."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and len(value) >= 2:
        return int(value[-2]), int(value[-1])
    return None


def own_normalisation(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Mean, std, and where they come from: timm's configuration, or else ImageNet's."""
    config = getattr(model, "pretrained_cfg", None)
    if isinstance(config, dict) and "mean" in config and "std" in config:
        return tuple(config["mean"]), tuple(config["std"]), "of its timm configuration"
    return IMAGENET_MEAN, IMAGENET_STD, "ImageNet's, since the network names none and none were given"
