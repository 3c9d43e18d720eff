"""Small data sets in the layouts in which data sets are published, and the class of every pixel in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from segviz.data.class_sets import voc_colour
from segviz.data.readers.cityscapes import LABEL_IDS
from segviz.data.readers.pascal_context import MATLAB_IDS, NAMES

SIZE = (24, 32)
CITY = "ulm_00000{}_000019"


def save_picture(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)


def save_labels(path: Path, values: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    if palette:
        picture.putpalette([channel for number in range(256) for channel in voc_colour(number)])
    picture.save(path)


def draw_classes(seed: int, classes: Sequence[int], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Labels of these values, in blocks of four pixels."""
    coarse = np.random.default_rng(seed).choice(classes, (size[0] // 4, size[1] // 4))
    return np.repeat(np.repeat(coarse, 4, 0), 4, 1).astype(np.uint8)


def write_names(path: Path, names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def make_cityscapes(root: Path, form: str = "labelIds", kind: str = "gtFine") -> None:
    """Two pictures of train, one of val and one of test, whose labels are a placeholder."""
    for split, numbers in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        for number in numbers:
            name = CITY.format(number)
            save_picture(root / "leftImg8bit" / split / "ulm" / f"{name}_leftImg8bit.png", number)
            ids = (*range(34), 255) if form == "labelIds" else (*range(19), 255)
            values = draw_classes(number, ids) if split != "test" else np.zeros(SIZE)  # void, as in the real download
            save_labels(root / kind / split / "ulm" / f"{name}_{kind}_{form}.png", values)


def make_ade20k(root: Path) -> None:
    for split, numbers in (("training", (0, 1)), ("validation", (2,))):
        for number in numbers:
            name = f"ADE_{split[:5]}_{number:08d}"
            save_picture(root / "images" / split / f"{name}.jpg", number)
            save_labels(root / "annotations" / split / f"{name}.png", draw_classes(number, range(151)))


def make_voc(root: Path, augmented: bool = False) -> None:
    for name, seed in (("2007_000001", 0), ("2007_000002", 1), ("2007_000003", 2), ("2008_000009", 3)):
        save_picture(root / "JPEGImages" / f"{name}.jpg", seed)
        if seed < 3:
            save_labels(root / "SegmentationClass" / f"{name}.png", draw_classes(seed, (*range(21), 255)), palette=True)
        if augmented:
            save_labels(root / "SegmentationClassAug" / f"{name}.png", draw_classes(seed, (*range(21), 255)))
    lists = root / "ImageSets" / "Segmentation"
    write_names(lists / "train.txt", ["2007_000001", "2007_000002"])
    write_names(lists / "val.txt", ["2007_000003"])
    write_names(lists / "trainval.txt", ["2007_000001", "2007_000002", "2007_000003"])


def make_context(root: Path, save: Callable[[Path, np.ndarray], None] | None = None) -> None:
    """PASCAL Context as PNGs; with `save`, as .mat files and a JSON file of phases."""
    for name, seed in (("2008_000002", 0), ("2008_000003", 1)):
        save_picture(root / "JPEGImages" / f"{name}.jpg", seed)
        if save is None:
            save_labels(root / "SegmentationClassContext" / f"{name}.png", draw_classes(seed, range(60)))
        else:
            values = np.random.default_rng(seed).choice((0, 1, *MATLAB_IDS, 459), SIZE)
            (root / "trainval").mkdir(exist_ok=True)
            save(root / "trainval" / f"{name}.mat", values.astype(np.uint16))
    if save is None:
        for split, name in (("train", "2008_000002"), ("val", "2008_000003")):
            write_names(root / "ImageSets" / "SegmentationContext" / f"{split}.txt", [name])
    else:
        rows = [{"file_name": f"2008_00000{at}.jpg", "phase": phase} for at, phase in ((2, "train"), (3, "val"))]
        more = {"info": {"year": 2010}, "images": rows, "annos_segmentation": [{"segmentation": "x" * 5000}]}
        (root / "trainval_merged.json").write_text(json.dumps(more))


def make_own(root: Path, names: Sequence[str] = ("a", "b"), split: str = "train", size: tuple[int, int] = SIZE) -> None:
    """segviz's own layout with three classes."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "meta.json").write_text(json.dumps({"classes": ["sky", "road", "car"]}))
    write_names(root / f"{split}.txt", names)
    for seed, name in enumerate(names):
        save_picture(root / split / "images" / f"{name}.png", seed, size)
        save_labels(root / split / "labels" / f"{name}.png", draw_classes(seed, (0, 1, 2, 255), size))


def expected_train_ids(ids: np.ndarray) -> np.ndarray:
    table = np.full(256, 255)
    table[list(LABEL_IDS)] = range(19)
    return table[ids]


def context_names(ids: np.ndarray) -> np.ndarray:
    """The names of the ids of PNGs in alphabetical order."""
    return np.array(["background", *sorted(NAMES[1:])])[ids]
