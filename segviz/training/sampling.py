"""The pictures and views of a training step: a function of seed and step only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from segviz.data.dataset import Sample
from segviz.training.augmentation import View, apply_views, random_view
from segviz.training.view_range import STREET_VIEWS, ViewRange

PLACES_KEPT = 64  # pixels of each class in each picture
Batch = tuple[Float[Tensor, "batch 3 height width"], Int64[Tensor, "batch height width"]]


@dataclass(frozen=True)
class Pool:
    """Labelled pictures on the training device.

    Attributes:
        images, labels: one tensor per picture.
        places: by class, the indices of the pictures that show it, each with up to 64 of its pixels (y, x).
    """

    images: tuple[UInt8[Tensor, "_ _ 3"], ...]
    labels: tuple[UInt8[Tensor, "_ _"], ...]
    places: tuple[tuple[tuple[int, Int64[np.ndarray, "_ 2"]], ...], ...]


def make_pool(samples: Sequence[Sample], classes: int, device: torch.device) -> Pool:
    """Copy the samples to the device once, so that no step copies pictures."""
    rng = np.random.default_rng(0)
    places: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(classes)]
    for number, sample in enumerate(samples):
        for index in np.unique(sample.labels[sample.labels < classes]):
            pixels = np.flatnonzero(sample.labels == index)
            some = rng.choice(pixels, min(len(pixels), PLACES_KEPT), replace=False)
            places[index].append((number, np.stack(np.divmod(some, sample.labels.shape[1]), 1)))
    return Pool(
        tuple(torch.from_numpy(sample.image).to(device) for sample in samples),
        tuple(torch.from_numpy(sample.labels).to(device) for sample in samples),
        tuple(map(tuple, places)),
    )


@dataclass(frozen=True)
class Sampler:
    """Draws batches.

    Attributes:
        real, drawn: the data set's pictures, and drawn scenes (possibly none).
        batch, crop: pictures per batch, and (height, width) of a view in pixels.
        drawn_share: mean share of drawn scenes in a batch.
        balance: share of pictures chosen by class: first a class, all equally likely, then one of its pixels, which
            the view contains. The other real pictures come in a shuffled order, each once per epoch.
        views: what a view may be.
        share: (index, count): of `count` processes, the one with this index gets its part of each batch, in order.
    """

    real: Pool
    drawn: Pool
    seed: int
    batch: int
    crop: tuple[int, int]
    drawn_share: float
    balance: float
    views: ViewRange = STREET_VIEWS
    share: tuple[int, int] = (0, 1)

    def __call__(self, step: int) -> Batch:
        """The batch of a step, or this process's part of it: colours in [-1, 1] and class indices."""
        rng = np.random.default_rng((self.seed, step))
        chosen = [self._choose(step * self.batch + place, rng) for place in range(self.batch)]
        index, count = self.share
        chosen = chosen[index * self.batch // count : (index + 1) * self.batch // count]
        pictures = [(pool.images[index], pool.labels[index]) for pool, index, _ in chosen]
        return apply_views(pictures, [view for _, _, view in chosen], self.crop)

    def _choose(self, number: int, rng: np.random.Generator) -> tuple[Pool, int, View]:
        drawn = bool(self.drawn.images) and rng.random() < self.drawn_share
        pool = self.drawn if drawn else self.real
        focus = None
        if rng.random() < self.balance:
            shown = [pictures for pictures in pool.places if pictures]
            pictures = shown[rng.integers(len(shown))]
            index, places = pictures[rng.integers(len(pictures))]
            focus = (int(places[(pick := rng.integers(len(places))), 0]), int(places[pick, 1]))
        elif drawn:
            index = int(rng.integers(len(pool.images)))
        else:
            index = shuffled_index(self.seed, number, len(pool.images))
        height, width = pool.labels[index].shape
        return pool, index, random_view((height, width), self.crop, rng, focus, self.views)


def shuffled_index(seed: int, number: int, count: int) -> int:
    """The index of the `number`-th draw; every epoch is another permutation."""
    epoch, place = divmod(number, count)
    return int(np.random.default_rng((seed, 1, epoch)).permutation(count)[place])
