"""Data sets on disk: `SPLIT/images/NAME.(webp|png|jpg)`, `SPLIT/labels/NAME.png`, `SPLIT.txt`, `meta.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from segviz.data.classes import VOID, ClassSet, class_set

SUFFIXES = (".webp", ".png", ".jpg")
SHOWN = 5  # how many faults one message lists


class DataError(ValueError):
    """A data set that cannot be used; the message names the files and the cure."""


@dataclass(frozen=True)
class Sample:
    """One labelled picture."""

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    labels: UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class Split:
    """All samples of one split, in memory, and the classes of their labels."""

    name: str
    samples: tuple[Sample, ...]
    classes: ClassSet


def load_split(root: Path, split: str, progress: type | None = None) -> Split:
    """Read and check a split; nothing is returned unless every file is sound.

    Args:
        root: the data set's folder.
        split: for example "train"; its names stand in `SPLIT.txt`.
        progress: wraps the names while they are read, for example `tqdm`.

    Raises:
        DataError: files are missing, unreadable, of another size than their labels, or hold an unknown class; the
            message names the first few and counts the others.
    """
    classes, names, folder = read_classes(root), read_names(root / f"{split}.txt"), root / split
    pictures = {name: picture_path(folder, name) for name in names}
    labels = {name: folder / "labels" / f"{name}.png" for name in names}
    unpictured = [f"{split}/images/{name}" for name, path in pictures.items() if path is None]
    unlabelled = [f"{split}/labels/{path.name}" for path in labels.values() if not path.is_file()]
    faults = missing(f"pictures ({', '.join(SUFFIXES)})", unpictured, split) + missing("labels", unlabelled, split)
    samples, unsound = [], []
    wrapped: Iterable[str] = names if progress is None else progress(names, desc=f"reading {split}", unit="image")
    for name in wrapped:
        path = pictures[name]
        if path is None or not labels[name].is_file():
            continue
        try:
            samples.append(read_sample(name, path, labels[name], classes))
        except DataError as fault:
            unsound.append(str(fault))
    if faults or unsound:
        raise DataError(f"{split} split of {root}: " + "; ".join([*faults, *first(unsound)]))
    return Split(split, tuple(samples), classes)


def missing(kind: str, paths: Sequence[str], split: str) -> list[str]:
    """What to say of the missing files of one kind, where there are any."""
    return [f"missing {kind}: {', '.join(first(paths))}; add them or take them off {split}.txt"] if paths else []


def first(faults: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    return [*faults[:SHOWN], *([f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else [])]


def read_names(listing: Path) -> list[str]:
    """The sample names in `SPLIT.txt`, one a line.

    Raises:
        DataError: the file is missing, or names nothing.
    """
    if not listing.is_file():
        raise DataError(f"{listing} is missing; write one sample name a line into it")
    names = [line.strip() for line in listing.read_text().splitlines() if line.strip()]
    if not names:
        raise DataError(f"{listing} names no samples; write one sample name a line into it")
    return names


def read_classes(root: Path) -> ClassSet:
    """The classes that `meta.json` names.

    Raises:
        DataError: the file is missing or lacks `classes`.
    """
    path = root / "meta.json"
    try:
        meta = json.loads(path.read_text())
        return class_set(tuple(str(name) for name in meta["classes"]), int(meta.get("void", 255)))
    except FileNotFoundError:
        raise DataError(f'{path} is missing; it holds {{"classes": [names in index order], "void": 255}}') from None
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise DataError(f'{path} must be JSON of the form {{"classes": [names], "void": 255}}') from None


def picture_path(folder: Path, name: str) -> Path | None:
    """The picture of a sample in a split's folder, in the first format that is there."""
    candidates = [folder / "images" / f"{name}{suffix}" for suffix in SUFFIXES]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_sample(name: str, path: Path, label_path: Path, classes: ClassSet) -> Sample:
    """One picture and its labels.

    Raises:
        DataError: naming the file and what is wrong with it.
    """
    image, labels = open_array(path, ("RGB",)), open_array(label_path, ("L", "P"))
    if image.shape[:2] != labels.shape:
        raise DataError(f"{label_path} is {size_text(labels.shape)} but its picture is {size_text(image.shape)}")
    wrong = sorted(set(np.unique(labels).tolist()) - {*range(len(classes.names)), classes.void})
    if wrong:
        raise DataError(
            f"{label_path} holds the values {wrong[:8]}; "
            f"classes are 0 to {len(classes.names) - 1}, void is {classes.void}"
        )
    if classes.void != VOID:
        labels[labels == classes.void] = VOID
    return Sample(name, image, labels)


def open_array(path: Path, modes: Sequence[str]) -> np.ndarray:
    """A picture as an array; its first mode is converted to, palette indices are kept as they are."""
    try:
        with Image.open(path) as opened:
            return np.array(opened if opened.mode in modes else opened.convert(modes[0]))
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error})") from None


def size_text(shape: tuple[int, ...]) -> str:
    """A size as people write it, width first."""
    return f"{shape[1]} x {shape[0]}"
