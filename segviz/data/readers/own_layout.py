"""segviz's own layout: `SPLIT/images/NAME.(webp|png|jpg|…)`, `SPLIT/labels/NAME.png`, `SPLIT.txt`, `meta.json`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segviz.data.class_sets import give_colours
from segviz.data.classes import VOID, ClassSet
from segviz.data.data_set import DataSet, Listing, pair_files
from segviz.data.label_png import decode_labels
from segviz.data.sample import DataError
from segviz.data.sample_files import LABEL_SUFFIXES, SAMPLE_SUFFIXES, read_label_bytes, read_names, read_text
from segviz.image import ImageError
from segviz.text import plain_text
from segviz.typed_json import parse_json

META = '{"classes": [names in index order], "void": 255}'


@dataclass(frozen=True)
class Meta:
    """The fields of `meta.json`; others are ignored."""

    classes: tuple[str, ...]
    void: int = VOID


def is_own_layout(root: Path) -> bool:
    """Whether a folder has `meta.json`, or pictures and labels where segviz's own layout has them."""
    return (root / "meta.json").exists() or any((one.parent / "labels").is_dir() for one in root.glob("*/images"))


def open_own_layout(root: Path) -> DataSet:
    """Read the classes, and find the lists of samples.

    Raises:
        DataError: `meta.json` is missing or damaged.
    """
    classes = read_classes(root)
    splits = tuple(sorted(path.stem for path in root.glob("*.txt") if (root / path.stem / "images").is_dir()))
    return DataSet(
        root,
        "segviz",
        classes,
        splits,
        partial(list_own_split, root),
        partial(read_own_labels, classes),
        "class indices or the classes' colours",
        f"segviz {classes}",
    )


def list_own_split(root: Path, split: str) -> Listing:
    """The files of a split; `SPLIT.txt` lists its samples.

    Raises:
        DataError: the list is missing or empty, or a line cannot name a file.
    """
    names, folder = read_names(root / f"{split}.txt"), root / split
    pictures = {name: (folder / "images" / name, SAMPLE_SUFFIXES) for name in names}
    labels = {name: (folder / "labels" / name, LABEL_SUFFIXES) for name in names}
    return pair_files(names, pictures, labels, root, f"add them or remove them from {split}.txt")


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
    return give_colours(meta.classes, meta.void)


def read_own_labels(classes: ClassSet, path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "height width"]:
    """Read the class indices of a label file, see `decode_labels`.

    Args:
        classes: the classes that its indices or colours belong to.
        path: the file.
        size: the picture's (height, width).

    Raises:
        DataError: the file cannot be used; the message names it and the fault.
    """
    try:
        return decode_labels(read_label_bytes(path), classes, size).labels
    except ImageError as error:
        raise DataError(f"{path}: {error}") from None
