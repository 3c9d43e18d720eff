"""Labelled pictures: one of them, all of a split in memory, or all of a split read as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from segviz.data.classes import ClassSet
from segviz.data.read_ahead import map_ahead, worker_count
from segviz.text import plain_text

FAULTS_LISTED = 5  # faults in one message
FAULT_LENGTH = 600  # characters of one of several
READERS_OF_A_LOOP = 4  # threads that read ahead in a loop over samples; two pictures wait for each
HeightAndWidth = tuple[int, int]


class DataError(ValueError):
    """A data set that cannot be used; the message names the files and the cure.

    Args:
        message: cause and cure, or what the faults have in common.
        faults: one for each line below it.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        self.faults = tuple(plain_text(fault, FAULT_LENGTH) for fault in faults)
        super().__init__("\n  ".join([message, *self.faults]))


@dataclass(frozen=True)
class Sample:
    """One labelled picture."""

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    labels: UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class SampleFiles:
    """Where one labelled picture is; `labels` is None where the set has none, as for a test split."""

    name: str
    picture: Path
    labels: Path | None


@dataclass(frozen=True, eq=False)
class LazySamples(Sequence[Sample]):
    """Samples that are read when they are asked for, and then forgotten; they were read once before, and were sound.

    Attributes:
        files: the files of each.
        read: reads one; raises DataError if its files have changed since.
        counts: the pixels of each class in each picture.
        sizes: the (height, width) of each picture, in pixels.
    """

    files: tuple[SampleFiles, ...]
    read: Callable[[SampleFiles], Sample]
    counts: Int64[np.ndarray, "samples classes"]
    sizes: tuple[HeightAndWidth, ...]

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.files)

    @overload
    def __getitem__(self, at: int) -> Sample: ...

    @overload
    def __getitem__(self, at: slice) -> LazySamples: ...

    def __getitem__(self, at: int | slice) -> Sample | LazySamples:
        """Read one sample; a slice reads none.

        Raises:
            DataError: its files cannot be read any more.
        """
        if isinstance(at, slice):
            return LazySamples(self.files[at], self.read, self.counts[at], self.sizes[at])
        return self.read(self.files[at])

    def __iter__(self) -> Iterator[Sample]:
        """Read the samples one after the other, a few ahead in background threads.

        Raises:
            DataError: the files of one cannot be read any more.
        """
        return map_ahead(self.read, self.files, min(worker_count(), READERS_OF_A_LOOP))


@dataclass(frozen=True)
class Split:
    """All samples of one split and their classes.

    Attributes:
        name: such as "train", or "train+val".
        samples: a tuple where they are in memory, else `LazySamples`.
        classes: the classes of the labels.
        notes: what a user should know: how the samples are read, and which were left out.
    """

    name: str
    samples: Sequence[Sample]
    classes: ClassSet
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def resident(self) -> bool:
        """Whether all samples are in memory."""
        return not isinstance(self.samples, LazySamples)


def count_pixels(samples: Sequence[Sample], classes: int) -> Int64[np.ndarray, "samples classes"]:
    """The pixels of each class in each sample; samples that are read as needed were counted before."""
    if isinstance(samples, LazySamples):
        return samples.counts
    counts = [count_labels(sample.labels, classes) for sample in samples]
    return np.array(counts, np.int64).reshape(len(counts), classes)


def count_labels(labels: UInt8[np.ndarray, "height width"], classes: int) -> Int64[np.ndarray, " classes"]:
    """The pixels of each class, counted by Pillow, which is quicker at it than NumPy."""
    return np.array(Image.fromarray(labels).histogram()[:classes], np.int64)


def list_first(faults: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = [f"and {len(faults) - FAULTS_LISTED} more"] if len(faults) > FAULTS_LISTED else []
    return [*faults[:FAULTS_LISTED], *more]
