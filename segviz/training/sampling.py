"""Which pictures a training step sees, and which part of them: a function of seed and step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from segviz.data.dataset import Sample
from segviz.training.augmentation import View, apply_views, random_view

PLACES_KEPT = 64  # of each class in each picture
Batch = tuple[Float[Tensor, "batch 3 height width"], Int64[Tensor, "batch height width"]]


@dataclass(frozen=True)
class Pool:
    """Labelled pictures that lie on the training device.

    Attributes:
        images, labels: one tensor a picture.
        places: by class, the pictures that show it, and up to 64 (y, x) of its pixels in each.
    """

    images: tuple[UInt8[Tensor, "_ _ 3"], ...]
    labels: tuple[UInt8[Tensor, "_ _"], ...]
    places: tuple[tuple[tuple[int, Int64[np.ndarray, "_ 2"]], ...], ...]


def make_pool(samples: Sequence[Sample], classes: int, device: torch.device) -> Pool:
    """The samples on the device, once: from then on no picture travels."""
    rng = np.random.default_rng(0)
    places: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(classes)]
    for number, sample in enumerate(samples):
        for index in np.unique(sample.labels[sample.labels < classes]):
            found = np.flatnonzero(sample.labels == index)
            kept = rng.choice(found, min(len(found), PLACES_KEPT), replace=False)
            places[index].append((number, np.stack(np.divmod(kept, sample.labels.shape[1]), 1)))
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
        batch, crop: pictures a batch, and (height, width) of a view in pixels.
        drawn_share: of the batch, on average.
        balance: the share of real pictures that are chosen by class: first a class, each alike, then one of its
            pixels, which the view then shows. The others come in a shuffled order, each once an epoch.
    """

    real: Pool
    drawn: Pool
    seed: int
    batch: int
    crop: tuple[int, int]
    drawn_share: float
    balance: float

    def __call__(self, step: int) -> Batch:
        """The batch of a step, as the network's input in [-1, 1] and class indices."""
        rng = np.random.default_rng((self.seed, step))
        chosen = [self._choose(step * self.batch + place, rng) for place in range(self.batch)]
        pictures = [(pool.images[index], pool.labels[index]) for pool, index, _ in chosen]
        return apply_views(pictures, [view for _, _, view in chosen], self.crop)

    def _choose(self, number: int, rng: np.random.Generator) -> tuple[Pool, int, View]:
        drawn = bool(self.drawn.images) and rng.random() < self.drawn_share
        pool = self.drawn if drawn else self.real
        focus = None
        if rng.random() < self.balance:
            shown = [one for one in pool.places if one]
            pictures = shown[rng.integers(len(shown))]
            index, places = pictures[rng.integers(len(pictures))]
            focus = (int(places[(pick := rng.integers(len(places))), 0]), int(places[pick, 1]))
        elif drawn:
            index = int(rng.integers(len(pool.images)))
        else:
            index = shuffled_index(self.seed, number, len(pool.images))
        height, width = pool.labels[index].shape
        return pool, index, random_view((height, width), self.crop, rng, focus)


def shuffled_index(seed: int, number: int, count: int) -> int:
    """The index of the `number`-th draw: each epoch is a permutation of its own."""
    epoch, place = divmod(number, count)
    return int(np.random.default_rng((seed, 1, epoch)).permutation(count)[place])
