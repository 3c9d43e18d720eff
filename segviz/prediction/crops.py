"""Sliding crops: where they lie in a picture, and the mean of their scores where they overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from segviz.attention.maps import Grid
from segviz.attention.region import Region, nearest_region
from segviz.models.conventions import USUAL_STEP

PIXELS_AT_ONCE = 2**20  # of the crops that a network sees together: it bounds memory
Scores = Float[Tensor, "classes height width"]


@dataclass(frozen=True)
class CropGrid:
    """The crops of a picture, which cover every pixel.

    A picture that is smaller than a crop is padded on both sides, half of it before; crops lie in the padded picture.

    Attributes:
        picture: its (height, width).
        crop: a crop's.
        tops: the first rows of the crops in the padded picture.
        lefts: the first columns.
    """

    picture: Grid
    crop: Grid
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def before(self) -> Grid:
        """The rows and columns of padding before the picture."""
        height, width = (max(0, crop - own) // 2 for crop, own in zip(self.crop, self.picture, strict=True))
        return height, width

    @property
    def padded(self) -> Grid:
        """(height, width) of the padded picture."""
        return max(self.picture[0], self.crop[0]), max(self.picture[1], self.crop[1])

    @property
    def corners(self) -> tuple[Grid, ...]:
        """The first row and column of each crop in the padded picture, row by row."""
        return tuple((top, left) for top in self.tops for left in self.lefts)

    @property
    def regions(self) -> tuple[Region, ...]:
        """The crops in the picture's own pixels, row by row; a padded one reaches beyond the picture."""
        above, left_of = self.before
        return tuple(Region(top - above, left - left_of, *self.crop) for top, left in self.corners)

    def nearest(self, place: tuple[int, int]) -> int:
        """The number of the crop that shows most around a pixel (y, x): its centre is nearest, among those with it.

        Raises:
            ValueError: the pixel lies outside the picture.
        """
        height, width = self.picture
        if not (0 <= place[0] < height and 0 <= place[1] < width):
            raise ValueError(
                f"pixel {place} lies outside the picture of {width} x {height} pixels; give (y, x) inside it"
            )
        return nearest_region(self.regions, place)

    def pad(self, view: Float[Tensor, "views channels height width"]) -> Tensor:
        """Normalised views of the picture with zeros around them, which are the network's mean colour."""
        (above, left), (height, width) = self.before, self.padded
        below, right = height - self.picture[0] - above, width - self.picture[1] - left
        return F.pad(view, (left, right, above, below)) if (height, width) != self.picture else view

    def cut(self, padded: Tensor, numbers: range) -> Float[Tensor, "crops channels crop_height crop_width"]:
        """Crops of a padded view (1, channels, height, width)."""
        height, width = self.crop
        corners = [self.corners[number] for number in numbers]
        return torch.cat([padded[:, :, top : top + height, left : left + width] for top, left in corners])

    def batches(self, views: int = 1) -> Iterator[range]:
        """The crops' numbers, as many at a time as have `PIXELS_AT_ONCE` pixels in as many views; at least one."""
        count, at_once = len(self.corners), max(1, PIXELS_AT_ONCE // (views * self.crop[0] * self.crop[1]))
        for first in range(0, count, at_once):
            yield range(first, min(first + at_once, count))


class CropMean:
    """The mean of the scores of all crops at each pixel."""

    def __init__(self, grid: CropGrid, classes: int, device: torch.device | str = "cpu") -> None:
        self.grid = grid
        self.sum = torch.zeros(classes, *grid.padded, device=device)

    def add(self, number: int, scores: Scores) -> None:
        """Add the scores of a crop, given by its number."""
        (top, left), (height, width) = self.grid.corners[number], self.grid.crop
        self.sum[:, top : top + height, left : left + width] += scores

    def mean(self, padded: bool = False) -> Scores:
        """The mean at each pixel of the picture, once all crops were added; with `padded`, of the padded picture."""
        counts = [
            sum((torch.arange(length) >= first) & (torch.arange(length) < first + crop) for first in starts)
            for length, crop, starts in zip(
                self.grid.padded, self.grid.crop, (self.grid.tops, self.grid.lefts), strict=True
            )
        ]
        down, along = (torch.as_tensor(one, device=self.sum.device) for one in counts)
        (above, left), (height, width) = self.grid.before, self.grid.picture
        mean = self.sum / (down[:, None] * along)
        if padded:
            return mean
        return mean[:, above : above + height, left : left + width]


def place_crops(picture: Grid, crop: Grid, step: float = USUAL_STEP) -> CropGrid:
    """The crops that are slid over a picture; the last of a row or column ends with the picture.

    Args:
        picture: its (height, width).
        crop: the crops' (height, width).
        step: how far crops are apart at most, as a share of their sides; rounded up to whole pixels.

    Raises:
        ValueError: a side is below 1, or the step is not above 0 and at most 1.
    """
    if min(crop) < 1 or not 0 < step <= 1:
        raise ValueError(f"crops of {crop} with a step of {step:g} cannot be slid; use sides from 1, steps up to 1")
    tops, lefts = (place_side(*one, step) for one in zip(picture, crop, strict=True))
    return CropGrid(picture, crop, tops, lefts)


def place_side(length: int, crop: int, step: float) -> tuple[int, ...]:
    """Where crops begin along one side."""
    stride, last = math.ceil(crop * step), max(0, length - crop)
    return tuple(min(number * stride, last) for number in range(math.ceil(last / stride) + 1))
