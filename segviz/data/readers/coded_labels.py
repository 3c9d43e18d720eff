"""Label files by the codes of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segviz.data.label_codes import LabelCodes
from segviz.data.sample import DataError, HeightAndWidth
from segviz.data.sample_files import read_label_bytes
from segviz.image import ImageError


def read_coded_labels(codes: LabelCodes, path: Path, size: HeightAndWidth) -> UInt8[np.ndarray, "height width"]:
    """Read the class indices of a label file, 255 for void.

    Args:
        codes: the class of each id or colour.
        path: the file.
        size: the picture's (height, width).

    Raises:
        DataError: the file cannot be used; the message names it and the fault.
    """
    try:
        return codes.decode(read_label_bytes(path), size)
    except ImageError as error:
        raise DataError(f"{path}: {error}") from None
