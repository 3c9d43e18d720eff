"""The mean and standard deviation of pictures that a backbone's ImageNet weights were trained with."""

from __future__ import annotations

import timm

from segviz.models.options import NetworkOption
from segviz.models.picture_input import SIGNED_INPUT, ChannelNumbers, PictureInput

HALF, OF_BACKBONE = "half", "backbone"
INPUT_OPTION = NetworkOption(
    "input", HALF, "how pictures are normalised: mean and std of 1/2, or those of the backbone's ImageNet weights",
    (HALF, OF_BACKBONE),
)  # fmt: skip


def choose_input(kind: str, backbone: str) -> PictureInput:
    """What a network expects of a picture, by its option `input` and its backbone."""
    return SIGNED_INPUT if kind == HALF else backbone_input(backbone)


def backbone_input(backbone: str) -> PictureInput:
    """What a backbone's ImageNet weights expect: timm says so of its own; ImageNet's mean and std for all others."""
    config = timm.get_pretrained_cfg(backbone, allow_unregistered=True) if timm.is_model(backbone) else None
    if config is None or not config.mean or not config.std:
        return PictureInput()
    return PictureInput(mean=read_channels(config.mean), std=read_channels(config.std))


def read_channels(numbers: tuple[float, ...]) -> ChannelNumbers:
    """One number for each of red, green and blue."""
    red, green, blue = numbers
    return float(red), float(green), float(blue)
