"""PASCAL Context: the pictures of VOC 2010 with 59 classes of everything (Mottaghi et al., CVPR 2014).

Two forms are read: the MATLAB files `trainval/NAME.mat` with 459 ids as they are downloaded, split by
`trainval_merged.json`; and PNGs with 0 for background in `SegmentationClassContext`, listed in
`ImageSets/SegmentationContext/SPLIT.txt`. The PNGs that common converters write number the classes in alphabetical
order; a file `59_labels.txt` ("1: aeroplane") beside them says another order.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segviz.data.class_sets import CLASS_SETS
from segviz.data.classes import VOID, ClassSet
from segviz.data.data_set import DataSet, Listing, ReadLabels, pair_files, refuse_split
from segviz.data.label_codes import LabelCodes
from segviz.data.label_png import wrong_size
from segviz.data.readers.coded_labels import read_coded_labels
from segviz.data.readers.voc import PHOTOS
from segviz.data.sample import DataError, HeightAndWidth
from segviz.data.sample_files import LABEL_SUFFIXES, read_names, read_text
from segviz.data.trainval_merged import read_phases
from segviz.image import ImageError

PNG_FOLDER, MATLAB_FOLDER = "SegmentationClassContext", "trainval"
CONTEXT_LISTS = Path("ImageSets", "SegmentationContext")
PHASES = "trainval_merged.json"
ORDER_FILE = "59_labels.txt"
NAMES = CLASS_SETS["context"].names
# The ids of the 59 classes among the 459 of the MATLAB files, whose names are in alphabetical order, as these are.
MATLAB_IDS = (
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159,
    162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397,
    415, 416, 420, 424, 427, 440, 445, 454, 458,
)  # fmt: skip
MOST_MATLAB_ID = 459
SCIPY_CURE = "reading .mat files needs scipy; install it with `pip install scipy`, or use the PNG form"


def is_pascal_context(root: Path) -> bool:
    """Whether a folder has VOC's pictures and one of the forms of the labels."""
    labels = (root / PNG_FOLDER).is_dir() or any((root / MATLAB_FOLDER).glob("*.mat"))
    return (root / "JPEGImages").is_dir() and labels


def open_pascal_context(root: Path, background: bool = False) -> DataSet:
    """Find the splits and the form of the labels.

    Args:
        root: the folder of VOC 2010.
        background: whether everything else is a class of its own, the 60th, and not void.

    Raises:
        DataError: the splits cannot be read.
    """
    png = (root / PNG_FOLDER).is_dir()
    splits = find_context_splits(root)
    classes = CLASS_SETS["context" if background else "context59"]
    order = read_order(root / ORDER_FILE) if png else sorted(NAMES[1:])
    read: ReadLabels
    if png:
        read = partial(read_coded_labels, png_codes(order, classes))
    else:
        read = partial(read_matlab_labels, matlab_table(classes))
    return DataSet(
        root,
        "context",
        classes,
        tuple(splits),
        partial(list_context_split, root, splits, png),
        read,
        "PNGs of 60 ids, 0 is background" if png else ".mat files of 459 ids, of which 59 are classes",
        f"context {len(classes.names)} {order}",
        None,
        () if background else ("background is void; --class-map context makes it the 60th class",),
    )


def find_context_splits(root: Path) -> dict[str, list[str]]:
    """The names of each split's samples.

    Raises:
        DataError: the lists, or the JSON file, cannot be used.
    """
    lists = {path.stem: read_names(path) for path in sorted((root / CONTEXT_LISTS).glob("*.txt"))}
    if lists:
        return lists
    if not (root / PHASES).exists():
        raise DataError(
            f"{root} has neither {CONTEXT_LISTS.as_posix()}/train.txt nor {PHASES}, which say what belongs to "
            "train and val; add one of them"
        )
    return read_phases(root / PHASES)


def list_context_split(root: Path, splits: dict[str, list[str]], png: bool, split: str) -> Listing:
    """The files of a split.

    Raises:
        DataError: there is no such split.
    """
    if split not in splits:
        raise refuse_split(root, split, list(splits))
    names, labels = splits[split], root / (PNG_FOLDER if png else MATLAB_FOLDER)
    return pair_files(
        names,
        {name: (root / "JPEGImages" / name, PHOTOS) for name in names},
        {name: (labels / name, LABEL_SUFFIXES if png else (".mat",)) for name in names},
        root,
        f"unpack all of {labels.name} and JPEGImages",
    )


def read_order(path: Path) -> list[str]:
    """The classes of the PNGs' ids 1 to 59: as a file of lines "1: aeroplane" has them, or else alphabetical.

    Raises:
        DataError: the file names other classes.
    """
    if not path.exists():
        return sorted(NAMES[1:])
    rows = dict(re.findall(r"^\s*(\d+)\s*:\s*(.+?)\s*$", read_text(path, "it names the 59 classes"), re.MULTILINE))
    spelt = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
    order = [spelt.get(name := rows.get(str(number), "").replace(" ", ""), name) for number in range(1, len(NAMES))]
    if sorted(order) != sorted(NAMES[1:]):
        wrong = next((name for name in order if name not in NAMES[1:]), "one twice")
        raise DataError(
            f'{path} must name the 59 classes as lines "1: aeroplane", but has {wrong!r}; download it again'
        )
    return order


def png_codes(order: list[str], classes: ClassSet) -> LabelCodes:
    """The classes of the ids of PNGs; 0 is background."""
    places = {name: at for at, name in enumerate(classes.names)}
    ids = {0: places.get("background", VOID), VOID: VOID, **{at: places[name] for at, name in enumerate(order, 1)}}
    return LabelCodes(ids)


def matlab_table(classes: ClassSet) -> UInt8[np.ndarray, " ids"]:
    """The class of each of the 459 ids of MATLAB files."""
    places = {name: at for at, name in enumerate(classes.names)}
    table = np.full(MOST_MATLAB_ID + 1, places.get("background", VOID), np.uint8)
    for number, name in zip(MATLAB_IDS, sorted(NAMES[1:]), strict=True):
        table[number] = places[name]
    return table


def read_matlab_labels(table: np.ndarray, path: Path, size: HeightAndWidth) -> UInt8[np.ndarray, "height width"]:
    """Read the class indices of a MATLAB file, whose matrix is called LabelMap.

    Raises:
        DataError: scipy is not installed, or the file is damaged, has another size or holds an unknown id.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise DataError(SCIPY_CURE) from None
    try:
        values = np.asarray(loadmat(str(path), variable_names=["LabelMap"])["LabelMap"])
    except Exception as error:  # scipy raises whatever damaged bytes lead to
        raise DataError(
            f"{path} is not a MATLAB file with a LabelMap ({type(error).__name__}); unpack it again"
        ) from None
    if values.shape != size:
        cause: ImageError | str = (
            wrong_size(values.shape[::-1], size) if values.ndim == 2 else "LabelMap is not a matrix; unpack it again"
        )
        raise DataError(f"{path}: {cause}")
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > MOST_MATLAB_ID:
        raise DataError(f"{path}: LabelMap must hold whole numbers from 0 to {MOST_MATLAB_ID}; unpack it again")
    return np.asarray(table[values], np.uint8)
