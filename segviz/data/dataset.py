"""Data sets on disk: `SPLIT/images/NAME.(webp|png|jpg)`, `SPLIT/labels/NAME.png`, `SPLIT.txt`, `meta.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from jaxtyping import UInt8
from PIL import ImageOps

from segviz.data.classes import VOID, ClassSet, class_set
from segviz.image import ImageError, decode, open_image, read_picture_bytes
from segviz.text import plain_text
from segviz.typed_json import parse_json

SAMPLE_SUFFIXES = (".webp", ".png", ".jpg")
FAULTS_LISTED = 5  # faults in one message
BITS = 24  # the byte of a PNG that holds the bits per channel
MAX_NAME_BYTES = 200  # file systems take 255 with the ending
META = '{"classes": [names in index order], "void": 255}'


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
    """All samples of one split, in memory, and their classes."""

    name: str
    samples: tuple[Sample, ...]
    classes: ClassSet


@dataclass(frozen=True)
class Meta:
    """The fields of `meta.json`; others are ignored."""

    classes: tuple[str, ...]
    void: int = VOID


def load_split(root: Path, split: str, progress: type | None = None) -> Split:
    """Read and check a split; nothing is returned unless every file is sound.

    Args:
        root: the data set's folder.
        split: for example "train"; `SPLIT.txt` lists its samples.
        progress: wraps the names while their files are read, for example `tqdm`.

    Raises:
        DataError: a file is missing or unreadable, a picture and its labels differ in size, or a class is unknown;
            the message names the first few faults and counts the rest.
    """
    classes, names, folder = read_classes(root), read_names(root / f"{split}.txt"), root / split
    pictures = {name: picture_path(folder, name) for name in names}
    labels = {name: folder / "labels" / f"{name}.png" for name in names}
    unpictured = [f"{split}/images/{name}" for name, path in pictures.items() if path is None]
    unlabelled = [f"{split}/labels/{path.name}" for path in labels.values() if not path.is_file()]
    faults = describe_missing(f"pictures ({', '.join(SAMPLE_SUFFIXES)})", unpictured, split) + describe_missing(
        "labels", unlabelled, split
    )
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
        raise DataError(f"{split} split of {root}: " + "; ".join([*faults, *list_first(unsound)]))
    return Split(split, tuple(samples), classes)


def describe_missing(kind: str, paths: Sequence[str], split: str) -> list[str]:
    """A fault that lists the missing files of one kind; none if there are none."""
    cure = f"add them or remove them from {split}.txt"
    return [f"missing {kind}: {', '.join(list_first(paths))}; {cure}"] if paths else []


def list_first(faults: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = [f"and {len(faults) - FAULTS_LISTED} more"] if len(faults) > FAULTS_LISTED else []
    return [*faults[:FAULTS_LISTED], *more]


def read_names(listing: Path) -> list[str]:
    """Read the sample names in `SPLIT.txt`, one per line.

    Raises:
        DataError: the file is missing or empty, or a line cannot name a file.
    """
    lines = read_text(listing, "it holds one sample name per line").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{listing} names no samples; write one sample name per line into it")
    if wrong := [name for name in names if not is_name(name)]:
        raise DataError(
            f"{listing} has the line {plain_text(ascii(wrong[0]), 80)}, which names no file in images; "
            "write one sample name per line, without its ending"
        )
    return names


def is_name(text: str) -> bool:
    """Whether a text can name a file inside a folder."""
    path = PurePath(text)
    leads_out = path.is_absolute() or ".." in path.parts
    return text.isprintable() and len(text.encode()) <= MAX_NAME_BYTES and not leads_out


def read_text(path: Path, content: str) -> str:
    """Read a small text file, with or without a byte order mark.

    Raises:
        DataError: it is missing or cannot be read; the message says what it should hold.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {content}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; {content}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {content}") from None


def read_classes(root: Path) -> ClassSet:
    """Read the classes from `meta.json`.

    Raises:
        DataError: the file is missing or damaged, or its classes or void index cannot be used.
    """
    path = root / "meta.json"
    text = read_text(path, f"it holds {META}")
    try:
        meta = parse_json(Meta, text)
    except ValueError as error:
        raise DataError(f"{path} must be JSON of the form {META} ({error})") from None
    count = len(set(meta.classes))
    if not 1 <= count == len(meta.classes) <= meta.void <= VOID:
        void = plain_text(str(meta.void), 20)
        raise DataError(
            f"{path} has {len(meta.classes)} classes of which {count} differ, and void {void}; "
            f"use 1 to {VOID} different names, and for void a number beyond their indices, up to {VOID}"
        )
    return class_set(meta.classes, meta.void)


def picture_path(folder: Path, name: str) -> Path | None:
    """The path of a sample's picture in a split's folder, in the first format found; None if there is none."""
    candidates = [folder / "images" / f"{name}{suffix}" for suffix in SAMPLE_SUFFIXES]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_sample(name: str, path: Path, label_path: Path, classes: ClassSet) -> Sample:
    """Read one picture and its labels.

    Raises:
        DataError: a file cannot be used; the message names it and the fault.
    """
    try:
        image = decode(read_picture_bytes(path))
    except ImageError as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from None
    labels = read_labels(label_path)
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


def read_labels(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Read class indices from a PNG: gray values or palette indices.

    Raises:
        DataError: the file is not a PNG, or holds colours or another depth, from which the indices cannot be recovered.
    """
    try:
        data = read_picture_bytes(path)
        with open_image(data, ("PNG",)) as picture:
            upright = ImageOps.exif_transpose(picture)
    except ImageError as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from None
    spread = upright.mode == "L" and data[BITS] != 8  # PIL spreads gray of fewer bits over 0 to 255
    if upright.mode not in ("L", "P", "1") or spread:
        raise DataError(f"{path} holds no class indices; save them as a PNG in gray of 8 bits, or with a palette")
    return np.array(upright).astype(np.uint8)


def size_text(shape: tuple[int, ...]) -> str:
    """A (height, width, ...) shape in words, width first."""
    return f"{shape[1]} x {shape[0]}"
