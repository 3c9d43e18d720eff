"""What a network expects of a picture: input statistics, the order of channels, and the crops it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from segviz.image import to_tensor
from segviz.models.conventions import USUAL_STEP

ChannelNumbers = tuple[float, float, float]
IMAGENET_MEAN: ChannelNumbers = (0.485, 0.456, 0.406)
IMAGENET_STD: ChannelNumbers = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PictureInput:
    """What a network expects of a picture.

    Attributes:
        mean, std: of red, green and blue, for a picture in [0, 1]: the network sees `(picture - mean) / std`.
        order: the order in which the network takes the channels.
        crop: (height, width) of the crops on which it was trained and is slid over larger pictures; None: any size.
        step: how far crops are apart at most, as a share of their size.
    """

    mean: ChannelNumbers = IMAGENET_MEAN
    std: ChannelNumbers = IMAGENET_STD
    order: Literal["RGB", "BGR"] = "RGB"
    crop: tuple[int, int] | None = None
    step: float = USUAL_STEP

    def normalise(self, picture: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """The network's input, from RGB pictures in [0, 1]."""
        mean, std = (torch.tensor(one, device=picture.device).view(3, 1, 1) for one in (self.mean, self.std))
        seen = (picture - mean) / std
        return seen if self.order == "RGB" else seen.flip(1)

    def prepare(
        self, image: UInt8[ndarray, "height width 3"], device: torch.device | str = "cpu"
    ) -> Float[Tensor, "1 3 height width"]:
        """The network's input, from an RGB picture of bytes; channels last in memory."""
        return self.from_signed(to_tensor(image, device))

    def from_signed(self, picture: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """The network's input, from RGB pictures in [-1, 1]; exactly these where mean and std are 1/2."""
        if (self.mean, self.std, self.order) == (SIGNED_INPUT.mean, SIGNED_INPUT.std, SIGNED_INPUT.order):
            return picture
        return self.normalise((picture + 1) / 2).contiguous(memory_format=torch.channels_last)


SIGNED_INPUT = PictureInput(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))  # the picture scaled to [-1, 1]
