"""A label file on its own, outside a data set: its numbers are read as the data set that has the classes wrote them.

ADE20K's files number the classes from 1, PASCAL Context's in alphabetical order, and Cityscapes' `_labelIds` files have
34 ids. A file that is not numbered so is read by `choose_code`: class indices, or the classes' colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segviz.data.class_sets import name_class_set, shorten_name
from segviz.data.classes import VOID, VOID_COLOUR, ClassSet
from segviz.data.label_codes import LabelCodes
from segviz.data.label_png import GroundTruth, HeightWidth, decode_levels, label_pixels
from segviz.data.label_reading import Reading, choose_code, colour_of
from segviz.data.readers.ade20k import ADE_CODES
from segviz.data.readers.cityscapes import IDS, TRAIN_IDS
from segviz.data.readers.pascal_context import NAMES, png_codes
from segviz.data.sample import DataError
from segviz.data.sample_files import read_label_bytes
from segviz.image import ImageError

CITYSCAPES_FILES = "Cityscapes' files of numbers end in _labelIds.png or _labelTrainIds.png; use one of them"


@dataclass(frozen=True)
class Numbering:
    """How a data set numbers its classes, and how that is called."""

    reading: Reading
    codes: LabelCodes


ADE20K = Numbering("ADE20K's numbers (0 is void, 1 to 150 are the classes)", ADE_CODES)
LABEL_ID_FILE = Numbering("Cityscapes label ids (34 ids, 19 of them classes)", IDS)
TRAIN_ID_FILE = Numbering("Cityscapes train ids (0 to 18 are the classes)", TRAIN_IDS)


def read_labels(path: Path, classes: ClassSet, size: HeightWidth) -> GroundTruth:
    """Read a label file that belongs to no data set that was opened; see `decode_single_labels`.

    Args:
        path: the file.
        classes: the classes that its numbers or colours belong to.
        size: the picture's (height, width).

    Raises:
        DataError: the file cannot be used; the message names it and the fault.
    """
    try:
        return decode_single_labels(read_label_bytes(path), classes, size, name=path.name)
    except ImageError as error:
        raise DataError(f"{path}: {error}") from None


def decode_truth(
    data: bytes, classes: ClassSet, size: HeightWidth, shown: HeightWidth | None = None, name: str = ""
) -> GroundTruth:
    """Decode the labels in the bytes of a PNG, some of which must have a class; see `decode_single_labels`.

    Raises:
        ImageError: the labels cannot be used, or all are void.
    """
    truth = decode_single_labels(data, classes, size, shown, name)
    if truth.void == 1:
        raise ImageError("all of its pixels are void, so there is nothing to score; give some of them a class")
    return truth


def decode_single_labels(
    data: bytes, classes: ClassSet, size: HeightWidth, shown: HeightWidth | None = None, name: str = ""
) -> GroundTruth:
    """Decode the labels in the bytes of a PNG, numbered as the data set of these classes numbers them.

    Args:
        data: the file's bytes: grey of up to 8 bits, palette, or RGB.
        classes: the classes, their colours, and the void index.
        size: the picture's (height, width), which the file must share.
        shown: the (height, width) of the result, resized by nearest pixel; `size` by default.
        name: the file's name, which tells Cityscapes' label ids from its train ids.

    Raises:
        ImageError: the file is not a sound PNG, has another size, or holds a number or colour without a class.
    """
    levels, shown = decode_levels(data, size), shown or size
    numbering = find_numbering(levels, name, classes)
    if numbering is None:
        try:
            code = choose_code(levels, classes)
        except ImageError as error:
            if name_class_set(classes.names) == "cityscapes":
                raise ImageError(f"{error}; {CITYSCAPES_FILES}") from None
            raise
        return GroundTruth(label_pixels(levels, code, shown), code.reading, classes)
    labels = numbering.codes.decode_ids(np.asarray(levels.resize(shown[::-1], Image.Resampling.NEAREST)))
    return GroundTruth(labels, numbering.reading, classes)


def find_numbering(levels: Image.Image, name: str, classes: ClassSet) -> Numbering | None:
    """How the data set that has the classes numbers them in its files.

    Args:
        levels: the file's picture, in mode "L", "P" or "RGB".
        name: the file's name.
        classes: the classes.

    Returns:
        None where the file holds class indices, or colours that name the classes.
    """
    if levels.mode == "RGB" or (levels.mode == "P" and is_named_by_colours(levels, classes)):
        return None
    used = {level for level, count in enumerate(levels.histogram()) if count}
    known, stem = name_class_set(classes.names), Path(name).stem.lower()
    if known == "ade20k":
        return None if VOID in used else ADE20K  # 255 is void among class indices, and nothing in ADE20K's own files
    if known == "cityscapes":
        if stem.endswith("labeltrainids"):
            return TRAIN_ID_FILE
        return LABEL_ID_FILE if stem.endswith("labelids") or max(used - {VOID}, default=0) > 18 else None
    return find_context_numbering(classes)


def is_named_by_colours(levels: Image.Image, classes: ClassSet) -> bool:
    """Whether a palette gives its entries the classes' colours: each its own, as `predict` writes them, or any."""
    used = [level for level, count in enumerate(levels.histogram()) if count]
    own = dict(enumerate(classes.palette))
    if all(colour_of(levels, level) == own.get(level, VOID_COLOUR) for level in used):
        return True
    try:
        return choose_code(levels, classes).reading == "colours"
    except ImageError:
        return False


def find_context_numbering(classes: ClassSet) -> Numbering | None:
    """That of PASCAL Context's PNGs, for its 59 or 60 classes in any order; None for others."""
    spelt = {shorten_name(name): name for name in NAMES}
    names = tuple(spelt.get(shorten_name(name), "") for name in classes.names)
    if sorted(names) not in (sorted(NAMES), sorted(NAMES[1:])):
        return None
    codes = png_codes(sorted(NAMES[1:]), ClassSet(names, classes.palette))
    return Numbering("PASCAL Context's numbers (0 is background, 1 to 59 are the classes by alphabet)", codes)
