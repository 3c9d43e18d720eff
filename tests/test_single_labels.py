"""A label file on its own is read with the numbers of the data set that has its classes, not with their order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from layout_cases import SIZE, make_ade20k, make_cityscapes, make_context, make_voc
from PIL import Image

from segviz.data.class_sets import CLASS_SETS
from segviz.data.classes import VOID, ClassSet
from segviz.data.label_png import indexed_png
from segviz.data.open_data_set import open_data_set
from segviz.data.readers.pascal_context import MATLAB_IDS
from segviz.data.readers.single_labels import decode_truth, read_labels
from segviz.image import ImageError

MAKERS = {
    "ade20k": make_ade20k,
    "cityscapes": make_cityscapes,
    "cityscapes, train ids": lambda root: make_cityscapes(root, "labelTrainIds"),
    "voc": make_voc,
    "context": make_context,
}


def gray(values: list[int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array([values], np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("layout", MAKERS)
def test_a_file_is_read_alike_alone_and_within_its_data_set(layout: str, tmp_path: Path) -> None:
    MAKERS[layout](tmp_path)
    data = open_data_set(tmp_path)
    for sample in data.list_split("train").files:
        assert sample.labels is not None
        alone = read_labels(sample.labels, data.classes, SIZE)
        np.testing.assert_array_equal(alone.labels, data.read_labels(sample.labels, SIZE))
        assert len(np.unique(alone.labels)) > 5


def test_ade20k_starts_at_one_unless_the_file_has_the_void_of_class_indices() -> None:
    ade = CLASS_SETS["ade20k"]
    found = decode_truth(gray([0, 1, 13]), ade, (1, 3))
    assert found.labels.tolist() == [[VOID, ade.names.index("wall"), ade.names.index("person")]]
    assert found.reading.startswith("ADE20K's numbers")
    indices = decode_truth(gray([0, 1, VOID]), ade, (1, 3))
    assert (indices.labels.tolist(), indices.reading) == ([[0, 1, VOID]], "class indices")


@pytest.mark.parametrize("name", ["ade20k", "cityscapes", "voc", "context", "context59"])
def test_what_segviz_wrote_comes_back(name: str) -> None:
    """A palette with each class's colour at its index is a file of class indices, also where two classes share one."""
    classes = CLASS_SETS[name]
    labels = np.arange(len(classes.names), dtype=np.uint8)[None]
    found = decode_truth(indexed_png(labels, classes.colours, {}), classes, labels.shape)
    np.testing.assert_array_equal(found.labels, labels)


def test_cityscapes_ids_are_known_by_name_or_by_a_number_beyond_the_classes() -> None:
    city = CLASS_SETS["cityscapes"]
    ids, train_ids, other = ("a_gtFine_labelIds.png", "a_gtFine_labelTrainIds.png", "a.png")
    assert decode_truth(gray([7, 8]), city, (1, 2), name=ids).labels.tolist() == [[0, 1]]
    assert decode_truth(gray([7, 8]), city, (1, 2), name=train_ids).labels.tolist() == [[7, 8]]
    assert decode_truth(gray([7, 26]), city, (1, 2), name=other).labels.tolist() == [[0, 13]]
    plain = decode_truth(gray([7, 8]), city, (1, 2), name=other)
    assert (plain.labels.tolist(), plain.reading) == ([[7, 8]], "class indices")
    assert plain.caution == "if these are Cityscapes label ids, let the file's name end in _labelIds.png"
    assert decode_truth(gray([7, 8]), city, (1, 2), name=train_ids).caution == ""
    assert decode_truth(gray([7, 8]), CLASS_SETS["voc"], (1, 2), name=other).caution == ""
    with pytest.raises(ImageError, match=r"no class has the colour #6F4A00 .*; Cityscapes' files of numbers end in"):
        buffer = io.BytesIO()
        Image.new("RGB", (1, 1), (111, 74, 0)).save(buffer, "PNG")  # "dynamic" in a _color file
        decode_truth(buffer.getvalue(), city, (1, 1), name="a_gtFine_color.png")


def test_context_is_numbered_by_alphabet_whatever_the_models_order() -> None:
    assert len(MATLAB_IDS) == 59
    by_alphabet = tuple(sorted(CLASS_SETS["context59"].names))
    model = ClassSet(by_alphabet, CLASS_SETS["context59"].palette)
    assert decode_truth(gray([0, 1, 59]), model, (1, 3)).labels.tolist() == [[VOID, 0, 58]]
    own = CLASS_SETS["context59"]
    expected = [VOID, own.names.index(by_alphabet[0]), own.names.index(by_alphabet[1])]
    assert decode_truth(gray([0, 1, 2]), own, (1, 3)).labels.tolist() == [expected]
