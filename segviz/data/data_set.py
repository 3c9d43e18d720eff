"""A data set as a reader found it: its splits, its classes, how its labels are read, and what its test server takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segviz.data.classes import ClassSet
from segviz.data.sample import DataError, HeightAndWidth, Sample, SampleFiles
from segviz.data.sample_files import FileFinder, describe_missing_files, read_picture

ReadLabels = Callable[[Path, HeightAndWidth], UInt8[np.ndarray, "height width"]]


@dataclass(frozen=True)
class Listing:
    """The files of a split.

    Attributes:
        files: of the samples that have all of them.
        faults: what is missing, in sentences.
        missing: samples that lack a file.
    """

    files: tuple[SampleFiles, ...]
    faults: tuple[str, ...] = ()
    missing: int = 0


@dataclass(frozen=True)
class DataSet:
    """A data set on disk; nothing but its lists has been read.

    Attributes:
        root: its folder.
        layout: the name of its reader.
        classes: names, colours and void index of its labels.
        splits: the names of the splits that are there.
        list_split: the files of one of them; raises DataError if there is no such split.
        read_labels: reads a label file for a picture of a (height, width) as class indices, 255 for void; raises
            DataError.
        label_form: in words, what the label files hold.
        code: a text that changes whenever `read_labels` would read the same file in another way.
        server: the name of the format of its test server, if it has one.
        notes: what a user should know of the whole set, in sentences without a full stop.
    """

    root: Path
    layout: str
    classes: ClassSet
    splits: tuple[str, ...]
    list_split: Callable[[str], Listing]
    read_labels: ReadLabels
    label_form: str
    code: str
    server: str | None = None
    notes: tuple[str, ...] = field(default=())

    def list_files(self, split: str) -> Listing:
        """The files of a split, or of several that are joined by "+", such as "train+val".

        Raises:
            DataError: there is no such split.
        """
        listings = [self.list_split(part) for part in split.split("+")]
        return Listing(
            tuple(one for listing in listings for one in listing.files),
            tuple(fault for listing in listings for fault in listing.faults),
            sum(listing.missing for listing in listings),
        )

    def read_sample(self, files: SampleFiles) -> Sample:
        """Read one picture and its labels.

        Raises:
            DataError: a file cannot be used; the message names it and the fault.
        """
        if files.labels is None:
            raise DataError(f"{files.picture} has no labels, so it cannot be scored; add them, or use `predict`")
        image = read_picture(files)
        return Sample(files.name, image, self.read_labels(files.labels, (image.shape[0], image.shape[1])))


def refuse_split(
    root: Path, split: str, splits: Sequence[str], pictures: Path | None = None, labels: Path | None = None
) -> DataError:
    """The error for a split that is not there, or of which only the labels are.

    Args:
        root: the data set's folder.
        split: the split.
        splits: those that are there.
        pictures: where the layout keeps the split's pictures, if it has one folder for them.
        labels: where it keeps the labels.
    """
    if pictures is not None and labels is not None and labels.is_dir() and not pictures.is_dir():
        return DataError(f"{labels} has labels, but {pictures} is missing; unpack the pictures of '{split}' into it")
    there = f"it has {', '.join(splits)}" if splits else "it has none"
    return DataError(f"{root} has no split '{split}'; {there}, and splits can be joined, as in train+val")


def pair_files(
    names: Sequence[str],
    pictures: Mapping[str, tuple[Path, Sequence[str]]],
    labels: Mapping[str, tuple[Path, Sequence[str]]],
    root: Path,
    cure: str,
    picture_cure: str = "",
) -> Listing:
    """Pair pictures with their labels.

    Args:
        names: the samples.
        pictures: for each name the path without its ending, and the endings that are tried.
        labels: the same for the labels.
        root: the data set's folder, from which missing files are named.
        cure: what to do about missing files.
        picture_cure: what to do about missing pictures, if that is something else.
    """
    finder = FileFinder()
    found: list[SampleFiles] = []
    lost: dict[str, list[str]] = {"pictures": [], "labels": []}
    endings: dict[str, Sequence[str]] = {}
    for name in names:
        paths = []
        for kind, places in (("pictures", pictures), ("labels", labels)):
            stem, suffixes = places[name]
            endings[kind] = suffixes
            paths.append(path := finder.find(stem, suffixes))
            if path is None:
                lost[kind].append(name_missing_file(stem, suffixes, root))
        if paths[0] is not None and paths[1] is not None:
            found.append(SampleFiles(name, paths[0], paths[1]))
    faults = [
        *describe_missing_files("pictures", lost["pictures"], endings.get("pictures", ()), picture_cure or cure),
        *describe_missing_files("labels", lost["labels"], endings.get("labels", ()), cure),
    ]
    return Listing(tuple(found), tuple(faults), len(names) - len(found))


def list_unlabelled(names: Sequence[str], pictures: Path, suffixes: Sequence[str], root: Path, cure: str) -> Listing:
    """The pictures of a split without labels, as for a test server.

    Args:
        names: the samples.
        pictures: the folder of the pictures.
        suffixes: the endings that are tried.
        root: the data set's folder, from which missing files are named.
        cure: what to do about missing pictures.
    """
    finder = FileFinder()
    found = {name: finder.find(pictures / name, suffixes) for name in names}
    files = tuple(SampleFiles(name, path, None) for name, path in found.items() if path is not None)
    lost = [name_missing_file(pictures / name, suffixes, root) for name, path in found.items() if path is None]
    return Listing(files, tuple(describe_missing_files("pictures", lost, suffixes, cure)), len(lost))


def name_missing_file(stem: Path, suffixes: Sequence[str], root: Path) -> str:
    """A file that is not there, from the data set's folder; with its ending if it can have one only."""
    text = stem.relative_to(root).as_posix() if stem.is_relative_to(root) else str(stem)
    return text + (suffixes[0] if len(suffixes) == 1 else "")
