"""Cityscapes as it is downloaded: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`, `gtFine` or `gtCoarse` beside it.

The 34 ids of `labelIds` become 19 train ids, and the others are void, as in the data set's own table of labels
(cityscapesscripts, `helpers/labels.py`; Cordts et al., CVPR 2016).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segviz.data.class_sets import CLASS_SETS
from segviz.data.classes import VOID
from segviz.data.data_set import DataSet, Listing, list_unlabelled, pair_files, refuse_split
from segviz.data.label_codes import LabelCodes
from segviz.data.readers.coded_labels import read_coded_labels
from segviz.data.sample import HeightAndWidth
from segviz.data.sample_files import find_folders, find_label_names, find_picture_names

# The label id of each train id: road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
# terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
ID_COUNT = 34
PICTURE_END = "_leftImg8bit"
FINE_FOLDER, COARSE_FOLDER = "gtFine", "gtCoarse"
LABEL_FORMS = ("labelIds", "labelTrainIds")
IDS = LabelCodes({**dict.fromkeys((*range(ID_COUNT), VOID), VOID), **{one: at for at, one in enumerate(LABEL_IDS)}})
TRAIN_IDS = LabelCodes({**{at: at for at in range(len(LABEL_IDS))}, VOID: VOID})


def is_cityscapes(root: Path) -> bool:
    """Whether a folder has the pictures of Cityscapes."""
    return (root / "leftImg8bit").is_dir()


def open_cityscapes(root: Path) -> DataSet:
    """Find the splits; those with coarse labels are called `coarse_SPLIT`."""
    pictures = set(find_folders(root / "leftImg8bit"))
    fine = [one for one in ("train", "val", "test") if one in pictures]
    coarse = [f"coarse_{one}" for one in find_folders(root / COARSE_FOLDER) if one in pictures - {"test"}]
    return DataSet(
        root,
        "cityscapes",
        CLASS_SETS["cityscapes"],
        (*fine, *coarse),
        partial(list_cityscapes_split, root, (*fine, *coarse)),
        read_cityscapes_labels,
        "labelIds (34 ids become 19 classes) or labelTrainIds; all else is void",
        "cityscapes",
        "cityscapes",
    )


def list_cityscapes_split(root: Path, splits: tuple[str, ...], split: str) -> Listing:
    """The files of a split: those of all samples that have a picture or labels.

    Raises:
        DataError: there is no such split.
    """
    folder, kind = split.removeprefix("coarse_"), COARSE_FOLDER if split.startswith("coarse_") else FINE_FOLDER
    pictures, labels = root / "leftImg8bit" / folder, root / kind / folder
    if split not in splits:
        raise refuse_split(root, split, splits, pictures, labels)
    drawn = {name.removesuffix(PICTURE_END) for name in find_picture_names(pictures) if name.endswith(PICTURE_END)}
    if not drawn:
        return Listing((), (f"{pictures} holds no CITY/*{PICTURE_END}.png; unpack leftImg8bit into it",))
    endings = [f"_{kind}_{form}" for form in LABEL_FORMS]
    stems = sorted(drawn | find_label_names(labels, endings))
    picture_cure = f"unpack all of leftImg8bit beside {kind}"
    if folder == "test":  # what gtFine has for test is a placeholder, void throughout
        return list_unlabelled(stems, pictures, [f"{PICTURE_END}.png"], root, picture_cure)
    places = {stem: (pictures / stem, [f"{PICTURE_END}.png"]) for stem in stems}
    truths = {stem: (labels / stem, [f"{ending}.png" for ending in endings]) for stem in stems}
    return pair_files(stems, places, truths, root, f"unpack all of {kind} beside leftImg8bit", picture_cure)


def read_cityscapes_labels(path: Path, size: HeightAndWidth) -> UInt8[np.ndarray, "height width"]:
    """Read the train ids of a file of label ids or train ids, as its name says.

    Raises:
        DataError: the file cannot be used.
    """
    return read_coded_labels(TRAIN_IDS if path.stem.endswith("labelTrainIds") else IDS, path, size)
