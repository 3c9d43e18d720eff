"""PASCAL VOC 2012 as it is downloaded: `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation/SPLIT.txt`.

The labels are palette PNGs whose indices are the 21 classes, and 255 is void; the palette is not looked at, as many
copies lack it. `SegmentationClassAug` beside them holds the further annotations of Hariharan et al. (ICCV 2011); with
it there is a split `train_aug`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from segviz.data.class_sets import CLASS_SETS
from segviz.data.classes import VOID
from segviz.data.data_set import DataSet, Listing, list_unlabelled, pair_files, refuse_split
from segviz.data.label_codes import LabelCodes
from segviz.data.readers.coded_labels import read_coded_labels
from segviz.data.sample import DataError
from segviz.data.sample_files import LABEL_SUFFIXES, find_picture_names, is_name, read_names, read_text

LISTS = Path("ImageSets", "Segmentation")
CLASS_FOLDER, AUGMENTED = "SegmentationClass", "SegmentationClassAug"
PHOTOS = (".jpg", ".jpeg")
TRAIN_AUG = "train_aug"
AUG_LISTS = ("train_aug", "trainaug", "train_augvoc")  # names under which the list is passed around
VOC_CODES = LabelCodes({**{at: at for at in range(21)}, VOID: VOID})


def is_voc(root: Path) -> bool:
    """Whether a folder has the pictures and the segmentation lists of PASCAL VOC."""
    return (root / "JPEGImages").is_dir() and ((root / LISTS).is_dir() or (root / CLASS_FOLDER).is_dir())


def open_voc(root: Path) -> DataSet:
    """Find the lists of the segmentation task, and the augmented labels."""
    listed = {path.stem for path in (root / LISTS).glob("*.txt")} - set(AUG_LISTS)
    first = [split for split in ("train", "val", "test", "trainval") if split in listed]
    splits = [*first, *sorted(listed - set(first))] or ["train", "val"]  # without lists: what is missing
    if (root / AUGMENTED).is_dir():
        splits.insert(min(1, len(splits)), TRAIN_AUG)
    return DataSet(
        root,
        "voc",
        CLASS_SETS["voc"],
        tuple(splits),
        partial(list_voc_split, root, tuple(splits)),
        partial(read_coded_labels, VOC_CODES),
        "palette PNGs: indices are the classes, 255 is void",
        "voc",
        "voc-comp6",
    )


def list_voc_split(root: Path, splits: tuple[str, ...], split: str) -> Listing:
    """The files of a split.

    Raises:
        DataError: there is no such split, or its list cannot be used.
    """
    if split not in splits:
        raise refuse_split(root, split, splits)
    if fault := find_missing_list(root, split):
        return Listing((), (fault,))
    labels = root / (AUGMENTED if split == TRAIN_AUG else CLASS_FOLDER)
    names = name_augmented(root) if split == TRAIN_AUG else read_names(root / LISTS / f"{split}.txt")
    if split == "test":
        return list_unlabelled(names, root / "JPEGImages", PHOTOS, root, "unpack the test pictures into JPEGImages")
    return pair_files(
        names,
        {name: (root / "JPEGImages" / name, PHOTOS) for name in names},
        {name: (labels / name, LABEL_SUFFIXES) for name in names},
        root,
        f"unpack all of {labels.name} and JPEGImages, or remove the names from the list",
    )


def find_missing_list(root: Path, split: str) -> str:
    """A sentence about the list that says what belongs to a split; empty if it is there.

    Without a list of its own, `train_aug` is all augmented labels that are not in val, and so needs that list.
    """
    own = AUG_LISTS if split == TRAIN_AUG else (split,)
    if any((root / LISTS / f"{name}.txt").exists() for name in own):
        return ""
    needed = "val" if split == TRAIN_AUG else split
    if (root / LISTS / f"{needed}.txt").exists():
        return ""
    why = ", which train_aug has to leave out" if split == TRAIN_AUG else ""
    return f"{(LISTS / needed).as_posix()}.txt is missing{why}; unpack VOC's ImageSets beside JPEGImages"


def name_augmented(root: Path) -> list[str]:
    """The samples of `train_aug`: those of its list, or else all augmented labels that are not in val.

    Raises:
        DataError: a list cannot be used.
    """
    for name in AUG_LISTS:
        if (root / LISTS / f"{name}.txt").exists():
            return read_stems(root / LISTS / f"{name}.txt")
    scored = set(read_names(root / LISTS / "val.txt"))
    return [name for name in find_picture_names(root / AUGMENTED) if name not in scored]


def read_stems(listing: Path) -> list[str]:
    """Names from a list whose lines may also be "/JPEGImages/NAME.jpg /SegmentationClassAug/NAME.png".

    Raises:
        DataError: the list is missing or empty, or a line cannot name a file.
    """
    lines = read_text(listing, "it holds one sample name per line").splitlines()
    names = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not names or not all(map(is_name, names)):
        raise DataError(f"{listing} must hold one sample name per line, such as 2007_000032; download it again")
    return names
