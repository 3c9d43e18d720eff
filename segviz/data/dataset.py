"""Data sets on disk: `SPLIT/images/NAME.(webp|png|jpg|…)`, `SPLIT/labels/NAME.png`, `SPLIT.txt`, `meta.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from jaxtyping import UInt8

from segviz.data.classes import VOID, ClassSet, class_set
from segviz.data.label_png import GroundTruth, decode_labels
from segviz.image import ImageError, decode, read_picture_bytes
from segviz.text import plain_text
from segviz.typed_json import parse_json

SAMPLE_SUFFIXES = (".webp", ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff")  # in any case
LABEL_SUFFIXES = (".png",)
FAULTS_LISTED = 5  # faults in one message
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


def load_split(root: Path, split: str, progress: Callable[..., Iterable[str]] | None = None) -> Split:
    """Read and check a split; nothing is returned unless every file is sound.

    Args:
        root: the data set's folder.
        split: for example "train"; `SPLIT.txt` lists its samples.
        progress: wraps the names while their files are read, for example `progress_bar`.

    Raises:
        DataError: a file is missing or unreadable, a picture and its labels differ in size, or a class is unknown;
            the message names the first few faults and counts the rest.
    """
    classes, names, folder = read_classes(root), read_names(root / f"{split}.txt"), root / split
    files = FileFinder()
    pictures = {name: files.find(folder / "images" / name, SAMPLE_SUFFIXES) for name in names}
    labels = {name: files.find(folder / "labels" / name, LABEL_SUFFIXES) for name in names}
    unpictured = [f"{split}/images/{name}" for name, path in pictures.items() if path is None]
    unlabelled = [f"{split}/labels/{name}.png" for name, path in labels.items() if path is None]
    faults = describe_missing_files(
        f"pictures ({', '.join(SAMPLE_SUFFIXES)})", unpictured, split
    ) + describe_missing_files("labels", unlabelled, split)
    samples, unsound = [], []
    wrapped: Iterable[str] = names if progress is None else progress(names, desc=f"reading {split}", unit="image")
    for name in wrapped:
        path, label_path = pictures[name], labels[name]
        if path is None or label_path is None:
            continue
        try:
            samples.append(read_sample(name, path, label_path, classes))
        except DataError as fault:
            unsound.append(str(fault))
    if faults or unsound:
        raise DataError(f"{split} split of {root}: " + "; ".join([*faults, *list_first(unsound)]))
    return Split(split, tuple(samples), classes)


def describe_missing_files(kind: str, paths: Sequence[str], split: str) -> list[str]:
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


class FileFinder:
    """Finds files by name and ending, whatever the case of the ending; each folder is listed once."""

    def __init__(self) -> None:
        self._listings: dict[Path, dict[str, Path]] = {}

    def find(self, stem: Path, suffixes: Sequence[str]) -> Path | None:
        """The file of a name with the first of the endings that there is; None if there is none."""
        files = self._list(stem.parent)
        return next((files[key] for suffix in suffixes if (key := stem.name + suffix) in files), None)

    def _list(self, folder: Path) -> dict[str, Path]:
        """The files of a folder by their names, with the ending in lower case."""
        if folder not in self._listings:
            try:
                files = sorted(path for path in folder.iterdir() if path.is_file())  # one.png comes after one.PNG
            except OSError:
                files = []
            self._listings[folder] = {path.stem + path.suffix.lower(): path for path in files}
        return self._listings[folder]


def read_sample(name: str, path: Path, label_path: Path, classes: ClassSet) -> Sample:
    """Read one picture and its labels.

    Raises:
        DataError: a file cannot be used; the message names it and the fault.
    """
    try:
        image = decode(read_picture_bytes(path))
    except ImageError as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from None
    return Sample(name, image, read_labels(label_path, classes, image.shape[:2]).labels)


def read_labels(path: Path, classes: ClassSet, size: tuple[int, int]) -> GroundTruth:
    """Read a label file, see `decode_labels`.

    Args:
        path: the file.
        classes: the classes that its indices or colours belong to.
        size: the picture's (height, width).

    Raises:
        DataError: the file cannot be used; the message names it and the fault.
    """
    try:
        return decode_labels(read_label_bytes(path), classes, size)
    except ImageError as error:
        raise DataError(f"{path}: {error}") from None


def read_label_bytes(path: Path) -> bytes:
    """Read the bytes of a label file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return read_picture_bytes(path)
    except ImageError as error:
        raise DataError(str(error)) from None
