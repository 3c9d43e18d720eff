"""The pictures and views of a training step: a function of seed and step only, wherever the pictures come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from segviz.data.read_ahead import worker_count
from segviz.data.sample import LazySamples, Sample
from segviz.training.augmentation import View, apply_views, random_view

PLACES_KEPT = 64  # pixels of each class in each picture
STEPS_AHEAD = 2  # batches that are read in the background while one is used
Batch = tuple[Float[Tensor, "batch 3 height width"], Int64[Tensor, "batch height width"]]
LabelledPicture = tuple[UInt8[Tensor, "_ _ 3"], UInt8[Tensor, "_ _"]]
Places = Int64[np.ndarray, "_ 2"]
DrawnPart = tuple[LabelledPicture, View]
DrawView = Callable[[tuple[int, int], tuple[int, int], np.random.Generator, tuple[int, int] | None], View]


@dataclass(frozen=True)
class Pool:
    """Labelled pictures on the training device.

    Attributes:
        images, labels: one tensor per picture.
        places: by class, the indices of the pictures that show it, each with up to 64 of its pixels (y, x).
    """

    images: tuple[UInt8[Tensor, "_ _ 3"], ...]
    labels: tuple[UInt8[Tensor, "_ _"], ...]
    places: tuple[tuple[tuple[int, Places], ...], ...]

    @property
    def count(self) -> int:
        """The number of pictures."""
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the pictures are."""
        return self.images[0].device if self.images else torch.device("cpu")

    @cached_property
    def shown_in(self) -> tuple[Int64[np.ndarray, " _"], ...]:
        """By class, the indices of the pictures that show it."""
        return tuple(np.array([number for number, _ in pictures], np.int64) for pictures in self.places)

    def picture(self, index: int) -> LabelledPicture:
        """A picture and its labels."""
        return self.images[index], self.labels[index]

    def find_places(self, index: int, label: int, picture: LabelledPicture) -> Places:
        """Up to 64 pixels (y, x) of a class in a picture that shows it."""
        at = int(np.searchsorted(self.shown_in[label], index))
        return self.places[label][at][1]


@dataclass(frozen=True)
class LazyPool:
    """Labelled pictures that are read when a batch needs them; only which classes each shows is kept in memory.

    Attributes:
        samples: the pictures.
        device: the training device, to which a batch's pictures are copied.
    """

    samples: LazySamples
    device: torch.device

    @property
    def count(self) -> int:
        """The number of pictures."""
        return len(self.samples)

    @cached_property
    def shown_in(self) -> tuple[Int64[np.ndarray, " _"], ...]:
        """By class, the indices of the pictures that show it."""
        return tuple(np.flatnonzero(column) for column in self.samples.counts.T)

    def picture(self, index: int) -> LabelledPicture:
        """Read a picture and its labels.

        Raises:
            DataError: its files cannot be read any more.
        """
        sample = self.samples[index]
        return torch.from_numpy(sample.image), torch.from_numpy(sample.labels)

    def find_places(self, index: int, label: int, picture: LabelledPicture) -> Places:
        """Up to 64 pixels (y, x) of a class in a picture that shows it, found in the labels that were read."""
        return choose_pixels(picture[1].numpy(), index, label)


def choose_pixels(labels: UInt8[np.ndarray, "height width"], number: int, label: int) -> Places:
    """Up to 64 pixels (y, x) of a class, the same ones whenever this picture is asked."""
    pixels = np.flatnonzero(labels == label)
    rng = np.random.default_rng((0, number, label))
    some = rng.choice(pixels, min(len(pixels), PLACES_KEPT), replace=False)
    return np.stack(np.divmod(some, labels.shape[1]), 1)


def make_pool(samples: Sequence[Sample], classes: int, device: torch.device) -> Pool | LazyPool:
    """Copy the samples to the device once, so that no step copies pictures; those that are read as needed stay away."""
    if isinstance(samples, LazySamples):
        return LazyPool(samples, device)
    places: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(classes)]
    for number, sample in enumerate(samples):
        for label in np.unique(sample.labels[sample.labels < classes]):
            places[label].append((number, choose_pixels(sample.labels, number, int(label))))
    return Pool(
        tuple(torch.from_numpy(sample.image).to(device) for sample in samples),
        tuple(torch.from_numpy(sample.labels).to(device) for sample in samples),
        tuple(map(tuple, places)),
    )


class ReadAhead:
    """The parts of the next batches, drawn by threads while the current batch is used."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._steps: dict[int, list[Future[DrawnPart]]] = {}

    def take(self, step: int, slots: Sequence[int], draw: Callable[[int, int], DrawnPart]) -> list[DrawnPart]:
        """The parts of a step's batch; those of the steps after it are begun.

        Args:
            step: the step; any, though the next one is ready soonest.
            slots: the numbers of the batch's pictures.
            draw: makes the part of a (step, slot).

        Raises:
            DataError: a file cannot be read any more.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(worker_count(), "segviz-batch")
        wanted = range(step, step + 1 + STEPS_AHEAD)
        for old in [one for one in self._steps if one not in wanted]:
            for future in self._steps.pop(old):
                future.cancel()
        for one in wanted:
            if one not in self._steps:
                self._steps[one] = [self._threads.submit(draw, one, slot) for slot in slots]
        return [future.result() for future in self._steps.pop(step)]


@dataclass(frozen=True)
class Sampler:
    """Draws batches.

    Attributes:
        real, drawn: the data set's pictures, and drawn scenes (possibly none).
        batch, crop: pictures per batch, and (height, width) of a view in pixels.
        drawn_share: mean share of drawn scenes in a batch.
        balance: share of pictures chosen by class: first a class, all equally likely, then one of its pixels, which
            the view contains. The other real pictures come in a shuffled order, each once per epoch.
        draw_view: draws a view of a picture, see `random_view`.
        part: (index, count): of `count` processes, the one with this index draws its part of each batch.
    """

    real: Pool | LazyPool
    drawn: Pool | LazyPool
    seed: int
    batch: int
    crop: tuple[int, int]
    drawn_share: float
    balance: float
    draw_view: DrawView = random_view
    part: tuple[int, int] = (0, 1)
    _ahead: ReadAhead = field(default_factory=ReadAhead, init=False, repr=False, compare=False)

    @property
    def slots(self) -> range:
        """The slots of a batch that this process fills; those of all processes, one after the other, are the batch."""
        index, count = self.part
        return range(index * self.batch // count, (index + 1) * self.batch // count)

    def __call__(self, step: int) -> Batch:
        """The batch of a step, or this process's part of it: colours in [-1, 1] and class indices.

        Raises:
            DataError: a picture that is read as needed cannot be read any more.
        """
        pictures, views = self.draw(step)
        return apply_views(pictures, views, self.crop)

    def draw(self, step: int) -> tuple[list[LabelledPicture], list[View]]:
        """The pictures of a step's batch, or of this process's part of it, on the device, and the view of each.

        Raises:
            DataError: a picture that is read as needed cannot be read any more.
        """
        device = self.real.device
        if isinstance(self.real, LazyPool):
            parts = self._ahead.take(step, self.slots, self._draw)
        else:
            parts = [self._draw(step, slot) for slot in self.slots]
        pictures = [(image.to(device), labels.to(device)) for (image, labels), _ in parts]
        return pictures, [view for _, view in parts]

    def _draw(self, step: int, slot: int) -> DrawnPart:
        """One picture of a batch and its view; other slots do not change it."""
        rng = np.random.default_rng((self.seed, 2, step, slot))
        drawn = self.drawn.count > 0 and rng.random() < self.drawn_share
        pool = self.drawn if drawn else self.real
        focus = None
        if rng.random() < self.balance:
            label, index = self._choose_by_class(pool, rng)
            picture = pool.picture(index)
            places = pool.find_places(index, label, picture)
            y, x = places[rng.integers(len(places))]
            focus = (int(y), int(x))
        else:
            number = step * self.batch + slot
            index = int(rng.integers(pool.count)) if drawn else shuffled_index(self.seed, number, pool.count)
            picture = pool.picture(index)
        height, width = picture[1].shape
        return picture, self.draw_view((height, width), self.crop, rng, focus)

    @staticmethod
    def _choose_by_class(pool: Pool | LazyPool, rng: np.random.Generator) -> tuple[int, int]:
        """A class, all that are shown being equally likely, and a picture that shows it."""
        shown = [(label, pictures) for label, pictures in enumerate(pool.shown_in) if len(pictures)]
        label, pictures = shown[rng.integers(len(shown))]
        return label, int(pictures[rng.integers(len(pictures))])


def shuffled_index(seed: int, number: int, count: int) -> int:
    """The index of the `number`-th draw; every epoch is another permutation."""
    epoch, at = divmod(number, count)
    return int(np.random.default_rng((seed, 1, epoch)).permutation(count)[at])
