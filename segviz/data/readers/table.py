"""The layouts of data sets, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from segviz.data.data_set import DataSet
from segviz.data.readers.ade20k import is_ade20k, open_ade20k
from segviz.data.readers.cityscapes import is_cityscapes, open_cityscapes
from segviz.data.readers.own_layout import is_own_layout, open_own_layout
from segviz.data.readers.pascal_context import is_pascal_context, open_pascal_context
from segviz.data.readers.voc import is_voc, open_voc


@dataclass(frozen=True)
class Reader:
    """One layout.

    Attributes:
        title: the data set's name.
        folders: what its folder holds.
        recognises: whether a folder has this layout; looks at names only.
        open: reads its lists; raises DataError.
    """

    title: str
    folders: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path], DataSet]


READERS: Mapping[str, Reader] = MappingProxyType({
    "cityscapes": Reader("Cityscapes", "leftImg8bit and gtFine", is_cityscapes, open_cityscapes),
    "ade20k": Reader("ADE20K", "images/training and annotations/training", is_ade20k, open_ade20k),
    "context": Reader(
        "PASCAL Context", "JPEGImages, and SegmentationClassContext or trainval/*.mat", is_pascal_context,
        open_pascal_context,
    ),
    "voc": Reader("PASCAL VOC", "JPEGImages, SegmentationClass and ImageSets/Segmentation", is_voc, open_voc),
    "segviz": Reader(
        "segviz's own layout", "meta.json, SPLIT.txt, SPLIT/images and SPLIT/labels", is_own_layout, open_own_layout
    ),
})  # fmt: skip


def find_layout(root: Path) -> str | None:
    """The name of the layout that a folder has; None if it has none of them."""
    return next((name for name, reader in READERS.items() if reader.recognises(root)), None)
