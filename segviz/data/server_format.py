"""The files that the test servers of data sets take: a PNG for each picture, with the data set's own ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from segviz.data.class_sets import CLASS_SETS, find_other_class, voc_colour
from segviz.data.classes import ClassSet
from segviz.data.label_png import encode_png, indexed_png
from segviz.data.readers.cityscapes import LABEL_IDS, PICTURE_END


@dataclass(frozen=True)
class ServerFormat:
    """What a test server takes.

    Attributes:
        classes: the classes that a model must have, in this order.
        ids: the id of each class in the file.
        palette: whether the file is a palette PNG in VOC's colours, and not a grey one.
        folder: where the server looks for the files in what is sent; empty for anywhere.
        file_name: the file's name, for a picture's name without its ending.
    """

    classes: ClassSet
    ids: tuple[int, ...]
    palette: bool
    folder: str
    file_name: Callable[[str], str]

    def check_classes(self, names: tuple[str, ...], model: str) -> None:
        """Check that a model has the data set's classes; case, blanks and synonyms do not count.

        Raises:
            ValueError: it has others.
        """
        if difference := find_other_class(names, self.classes.names, tolerant=True):
            raise ValueError(
                f"'{model}' does not have the classes of this test server: {difference}; use a model of its classes"
            )

    def encode(self, labels: UInt8[np.ndarray, "height width"]) -> bytes:
        """A prediction as the bytes of its file.

        Args:
            labels: the class of each pixel, at the picture's own size.

        Raises:
            ValueError: a label is none of the classes.
        """
        if labels.size and int(labels.max()) >= len(self.ids):
            raise ValueError(f"a pixel has the class {int(labels.max())}, but there are {len(self.ids)}; predict again")
        values = np.array(self.ids, np.uint8)[labels]
        if self.palette:
            return indexed_png(values, np.array([voc_colour(number) for number in range(256)], np.uint8), {})
        return encode_png(Image.fromarray(values), {})


def name_cityscapes_file(stem: str) -> str:
    """The name by which Cityscapes' evaluation finds the city, sequence and frame; for the picture's own name."""
    return f"{stem.removesuffix(PICTURE_END)}_gtFine_labelIds.png"


def name_plain_file(stem: str) -> str:
    """A picture's own name."""
    return f"{stem}.png"


VOC, RESULTS = CLASS_SETS["voc"], "results/VOC2012/Segmentation"
# comp5 is for models trained on VOC's own data alone, comp6 for all others, such as those with ImageNet weights.
SERVER_FORMATS: Mapping[str, ServerFormat] = MappingProxyType({
    "cityscapes": ServerFormat(CLASS_SETS["cityscapes"], LABEL_IDS, False, "", name_cityscapes_file),
    "ade20k": ServerFormat(CLASS_SETS["ade20k"], tuple(range(1, 151)), False, "", name_plain_file),
    **{f"voc-{name}": ServerFormat(VOC, tuple(range(21)), True, f"{RESULTS}/{name}_test_cls", name_plain_file)
       for name in ("comp5", "comp6")},
})  # fmt: skip
