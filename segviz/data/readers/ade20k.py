"""ADE20K's scene parsing benchmark as it is downloaded: `images/training`, `annotations/training`, `objectInfo150.txt`.

In the label files 0 is void and 1 to 150 are the classes 0 to 149 (Zhou et al., CVPR 2017).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from segviz.data.class_sets import ALIKE, CLASS_SETS, shorten_name
from segviz.data.classes import VOID
from segviz.data.data_set import DataSet, Listing, list_unlabelled, pair_files, refuse_split
from segviz.data.label_codes import LabelCodes
from segviz.data.readers.coded_labels import read_coded_labels
from segviz.data.sample import DataError
from segviz.data.sample_files import LABEL_SUFFIXES, SAMPLE_SUFFIXES, find_label_names, find_picture_names, read_text

FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
ADE_CODES = LabelCodes({0: VOID, **{number: number - 1 for number in range(1, 151)}})


def is_ade20k(root: Path) -> bool:
    """Whether a folder has the pictures and annotations of ADE20K's scene parsing benchmark."""
    return any((root / "images" / one).is_dir() for one in FOLDERS.values())


def open_ade20k(root: Path) -> DataSet:
    """Find the splits, and check the names of `objectInfo150.txt` where it is there.

    Raises:
        DataError: the file lists other classes than the benchmark's 150.
    """
    splits = tuple(split for split, folder in FOLDERS.items() if (root / "images" / folder).is_dir())
    check_object_names(root / "objectInfo150.txt")
    return DataSet(
        root,
        "ade20k",
        CLASS_SETS["ade20k"],
        splits,
        partial(list_ade20k_split, root, splits),
        partial(read_coded_labels, ADE_CODES),
        "grey PNGs: 0 is void, 1 to 150 are the classes",
        "ade20k",
        "ade20k",
    )


def check_object_names(path: Path) -> None:
    """Check that the list of classes that comes with the data has the benchmark's 150; a missing list is no fault.

    Raises:
        DataError: it has others.
    """
    if not path.exists():
        return
    rows = [line.split("\t") for line in read_text(path, "it lists the 150 classes").splitlines()[1:] if line.strip()]
    found, names = [shorten_name(row[-1]) for row in rows], CLASS_SETS["ade20k"].names
    alike = sum(own == shorten_name(name) for own, name in zip(found, names, strict=False))
    if len(found) != len(names) or alike < ALIKE * len(names):
        raise DataError(
            f"{path} lists {len(found)} classes, of which {alike} are those of the scene parsing benchmark's 150; "
            "use the benchmark's own file, or remove it"
        )


def list_ade20k_split(root: Path, splits: tuple[str, ...], split: str) -> Listing:
    """The files of a split, of all samples that have a picture or labels.

    "train" is the folder `training`, "val" is `validation`.

    Raises:
        DataError: there is no such split.
    """
    pictures, labels = (root / part / FOLDERS.get(split, split) for part in ("images", "annotations"))
    if split not in splits:
        raise refuse_split(root, split, splits, pictures, labels)
    drawn = find_picture_names(pictures)
    if not drawn:
        return Listing((), (f"{pictures} holds no picture; unpack the benchmark's pictures into it",))
    picture_cure = "unpack all of images beside annotations"
    if split == "test" and not labels.is_dir():
        return list_unlabelled(drawn, pictures, SAMPLE_SUFFIXES, root, picture_cure)
    names = sorted({*drawn, *find_label_names(labels)})
    return pair_files(
        names,
        {name: (pictures / name, SAMPLE_SUFFIXES) for name in names},
        {name: (labels / name, LABEL_SUFFIXES) for name in names},
        root,
        "unpack all of annotations beside images",
        picture_cure,
    )
