"""Class maps: ids or colours of label files as classes, in any folder; gaps, doubles and unknown values are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layout_cases import SIZE, draw_classes, make_cityscapes, make_own, save_labels, save_picture, write_names
from PIL import Image

from segviz.data.open_data_set import load_split, open_data_set
from segviz.data.readers.class_map_file import read_class_map
from segviz.data.sample import DataError

ROAD_CAR: dict[str, Any] = {
    "classes": [{"name": "road", "ids": [7], "colour": "#804080"}, {"name": "car", "ids": [26, 27]}],
    "void_ids": [0],
}
FOLDERS = {"splits": {"train": {"pictures": "pictures", "labels": "truth"}}, "label_ending": "_L"}


def write_map(path: Path, **fields: Any) -> Path:
    path.write_text(json.dumps(ROAD_CAR | fields))
    return path


def make_folder(root: Path, values: np.ndarray) -> None:
    save_picture(root / "pictures" / "one.jpg", 0)
    save_labels(root / "truth" / "one_L.png", values)


def test_ids_become_the_classes_that_the_map_names(tmp_path: Path) -> None:
    values = draw_classes(0, (0, 7, 26, 27))
    make_folder(tmp_path, values)
    class_map = write_map(tmp_path / "map.json", **FOLDERS)
    split = load_split(tmp_path, "train", class_map=class_map)
    assert split.classes.names == ("road", "car") and split.classes.palette[0] == (128, 64, 128)
    expected = np.select([values == 7, values >= 26], [0, 1], 255)
    np.testing.assert_array_equal(split.samples[0].labels, expected)
    assert open_data_set(tmp_path, class_map).splits == ("train",)


def test_colours_become_classes_and_black_is_void(tmp_path: Path) -> None:
    make_folder(tmp_path, np.zeros(SIZE))
    labels = draw_classes(3, (0, 1, 2))
    Image.fromarray(np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], np.uint8)[labels]).save(
        tmp_path / "truth/one_L.png"
    )
    classes = [{"name": "red", "colours": ["#FF0000"]}, {"name": "blue", "colours": ["0000ff"]}]
    class_map = write_map(tmp_path / "map.json", **FOLDERS, classes=classes, void_ids=[], void_colours=["#000000"])
    split = load_split(tmp_path, "train", class_map=class_map)
    np.testing.assert_array_equal(split.samples[0].labels, np.array([255, 0, 1])[labels])
    assert split.classes.palette == ((255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize("others", ["fault", "void"])
def test_an_unknown_id_is_told_or_void(tmp_path: Path, others: str) -> None:
    make_folder(tmp_path, np.where(draw_classes(0, (0, 7)) == 0, 90, 7))
    class_map = write_map(tmp_path / "map.json", **FOLDERS, others=others)
    if others == "fault":
        with pytest.raises(
            DataError,
            match=r"one_L\.png: no class has the id 90 .* this set has the ids 0, 7, 26 to 27, so add each to \"ids\"",
        ):
            load_split(tmp_path, "train", class_map=class_map)
    else:
        assert set(np.unique(load_split(tmp_path, "train", class_map=class_map).samples[0].labels)) == {0, 255}


def test_an_unknown_colour_is_told_with_its_place(tmp_path: Path) -> None:
    make_folder(tmp_path, np.zeros(SIZE))
    Image.new("RGB", SIZE[::-1], (1, 2, 3)).save(tmp_path / "truth/one_L.png")
    red = [{"name": "red", "colours": ["#FF0000"]}]
    class_map = write_map(tmp_path / "map.json", **FOLDERS, classes=red, void_ids=[])
    with pytest.raises(DataError, match=r"no class has the colour #010203 \(768 pixels, .*; add each to \"colours\""):
        load_split(tmp_path, "train", class_map=class_map)


def test_a_map_groups_the_ids_of_a_known_layout(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    class_map = write_map(tmp_path / "map.json", others="void")
    data = open_data_set(tmp_path, class_map)
    assert (data.layout, data.splits, data.classes.names) == ("cityscapes", ("train", "val", "test"), ("road", "car"))
    ids = draw_classes(0, (*range(34), 255))
    expected = np.select([ids == 7, (ids == 26) | (ids == 27)], [0, 1], 255)
    np.testing.assert_array_equal(load_split(tmp_path, "train", class_map=class_map).samples[0].labels, expected)


def test_pictures_and_labels_may_lie_in_one_folder(tmp_path: Path) -> None:
    save_picture(tmp_path / "all" / "one.png", 0)
    save_labels(tmp_path / "all" / "one_L.png", np.full(SIZE, 7))
    class_map = write_map(
        tmp_path / "map.json", splits={"train": {"pictures": "all", "labels": "all"}}, label_ending="_L"
    )
    assert [sample.name for sample in load_split(tmp_path, "train", class_map=class_map).samples] == ["one"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"classes": [{"name": "a", "ids": [1]}, {"name": "b"}]}, "'b' has neither ids nor colours, which leaves"),
        ({"classes": [{"name": "a", "ids": [1]}, {"name": "a", "ids": [2]}]}, "the class 'a' occurs 2 times"),
        ({"classes": [{"name": "a", "ids": [1]}, {"name": "b", "ids": [1]}]}, "the id 1 belongs to 2 classes"),
        ({"classes": [{"name": "a", "ids": [7, 7]}]}, "the class 'a' lists the id 7 more than once; once is enough"),
        ({"classes": [{"name": "a", "colours": ["#FF00aa", "ff00AA"]}]}, "lists the colour #ff00aa more than once"),
        ({"classes": [{"name": "a", "ids": [1]}], "void_ids": [1]}, "the id 1 is void and belongs to a class, too"),
        ({"classes": [{"name": "a", "ids": [300]}]}, "the id 300 is not in 0 to 255; label files have 8 bits"),
        ({"classes": [{"name": "a", "colours": ["red"]}]}, "'red' is not a colour; write it as #804080"),
        ({"classes": [{"name": "a", "colours": ["#FF00aa"]}], "void_colours": ["ff00aa"]}, "#ff00aa is void and"),
        ({"classes": [{"name": "a", "ids": [1]}, {"name": "b", "colours": ["ff00aa"]}]}, "some classes have ids and"),
        ({"classes": [{"name": " ", "ids": [1]}]}, "class 0 has no name"),
        ({"classes": []}, "it has 0 classes"),
        ({"splits": {"train": {"pictures": "../up", "labels": "x"}}}, r"'\.\./up' is not a folder or list inside"),
        ({"splits": {"train": {"pictures": "/etc", "labels": "a\0b"}}}, "(?s)'/etc' is not a folder .*'a b' is not"),
        ({"label_ending": "_L/x"}, "the ending '_L/x' cannot be part of a file's name"),
        ({"others": "ignore"}, "'others' is 'ignore'; use fault or void"),
        ({"classes": "road"}, "'classes' is \"road\", not a list; correct it"),
        ({"voidids": [0]}, "an unknown name 'voidids'; did you mean 'void_ids'"),
        ({"splits": {"\ud800": {"pictures": "a", "labels": "b"}}}, "'splits' is .*, not names with values"),
        ({"foo": 3}, "there is an unknown name 'foo'; use classes, void_ids"),
        ({"classes": [{"name": "a", "id": [1]}]}, r"(?s)classes\[0\] has an unknown name 'id'; did you mean 'ids'"),
        ({}, "names no splits, and .* has no known layout"),
    ],
)  # fmt: skip
def test_a_fault_of_a_map_is_one_sentence(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as fault:
        open_data_set(tmp_path, write_map(tmp_path / "map.json", **fields))
    assert "map.json" in str(fault.value) and str(fault.value).count("\n") == len(fault.value.faults)


def test_all_faults_of_a_map_are_told_at_once(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.json", classes=[{"name": "a"}, {"name": "a", "ids": [900]}], others="x")
    with pytest.raises(DataError) as fault:
        read_class_map(path)
    assert len(fault.value.faults) == 4 and "has 4 faults" in str(fault.value)
    assert all(word in str(fault.value) for word in ("gap", "2 times", "900", "'x'"))
    classes = [{"name": f"c{at}", "ids": "x", "more": 1} for at in range(9)]
    with pytest.raises(DataError) as fault:
        read_class_map(write_map(tmp_path / "map.json", classes=classes, others=1))
    assert len(fault.value.faults) == 19  # none is left out


@pytest.mark.parametrize("unread", [{"zz": 1}, {"others": 1}, {"splits": {"train": {"pictures": 3, "labels": 4}}}])
def test_a_fault_of_form_hides_no_other(tmp_path: Path, unread: dict[str, Any]) -> None:
    classes = [{"name": "road", "ids": [7]}, {"name": "car", "ids": [26, 26]}, {"name": "car", "ids": []}]
    fields = {"classes": classes, "void_ids": [7]}
    with pytest.raises(DataError) as fault:
        read_class_map(write_map(tmp_path / "map.json", **fields))
    others = fault.value.faults
    assert len(others) == 4
    with pytest.raises(DataError) as fault:
        read_class_map(write_map(tmp_path / "map.json", **fields, **unread))
    assert fault.value.faults[-len(others) :] == others
    assert len(fault.value.faults) == len(others) + (2 if "splits" in unread else 1)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"classes": [{"name": "a", "ids": "x"}, {"name": "b", "colours": 3}, {"name": "c", "ids": [1]}]}, 2),
        ({"classes": [{"ids": [1]}, {"name": 3, "ids": [2]}, None, {"name": "c", "ids": [None, 3]}]}, 4),
        ({"classes": None, "void_ids": None, "void_colours": [1], "splits": None, "picture_ending": 1}, 5),
        ({"classes": [{"name": "a", "colours": [1, "#FF0000"], "colour": 2}], "splits": {"train": None, "val": {}}}, 5),
        ({"classes": [{"name": "a", "ids": [5, "x"]}, {"name": "b", "ids": [5]}]}, 2),
    ],
)
def test_what_could_not_be_read_is_told_once(tmp_path: Path, fields: dict[str, Any], count: int) -> None:
    with pytest.raises(DataError) as fault:
        read_class_map(write_map(tmp_path / "map.json", **fields))
    assert len(fault.value.faults) == count, fault.value.faults


def test_missing_labels_and_folders_are_told(tmp_path: Path) -> None:
    make_folder(tmp_path, np.full(SIZE, 7))
    class_map = write_map(tmp_path / "map.json", **(FOLDERS | {"label_ending": "_M"}))
    with pytest.raises(DataError, match=r"missing labels: truth/one_M\.png; add them, or correct 'labels' and"):
        load_split(tmp_path, "train", class_map=class_map)
    class_map = write_map(tmp_path / "map.json", splits={"train": {"pictures": "none", "labels": "truth"}})
    with pytest.raises(DataError, match="none holds no picture; correct 'pictures' of 'train'"):
        load_split(tmp_path, "train", class_map=class_map)
    with pytest.raises(DataError, match=r"nowhere\.json is missing; a class map is JSON of the form"):
        open_data_set(tmp_path, tmp_path / "nowhere.json")


def test_labels_without_a_picture_are_told_where_no_list_names_the_samples(tmp_path: Path) -> None:
    make_folder(tmp_path, np.full(SIZE, 7))
    for name in ("two_L", "two", "one_L_color"):  # the last two are no labels
        save_labels(tmp_path / "truth" / f"{name}.png", np.full(SIZE, 7))
    class_map = write_map(tmp_path / "map.json", **FOLDERS)
    with pytest.raises(DataError, match=r"missing pictures: pictures/two .*; add them, or name .* 'list' in"):
        load_split(tmp_path, "train", class_map=class_map)
    assert len(load_split(tmp_path, "train", class_map=class_map, skip_damaged=True).samples) == 1
    write_names(tmp_path / "train.txt", ["one"])
    listed = FOLDERS | {"splits": {"train": {"pictures": "pictures", "labels": "truth", "list": "train.txt"}}}
    assert len(load_split(tmp_path, "train", class_map=write_map(tmp_path / "map.json", **listed)).samples) == 1


def test_labels_that_may_belong_to_another_split_are_no_fault(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        save_picture(tmp_path / split / f"{split}.png", number)
        save_labels(tmp_path / "truth" / f"{split}.png", np.full(SIZE, 7))
    for val in ("truth", "truth/val", "."):
        splits = {"train": {"pictures": "train", "labels": "truth"}, "val": {"pictures": "val", "labels": val}}
        class_map = write_map(tmp_path / "map.json", splits=splits)
        assert [one.name for one in load_split(tmp_path, "train", class_map=class_map).samples] == ["train"]


def test_what_tools_write_beside_labels_is_no_label(tmp_path: Path) -> None:
    save_picture(tmp_path / "pictures" / "street_1.jpg", 0)
    for name in ("street_1", "street_1_color", "street_1.ids", "street_2"):
        save_labels(tmp_path / "truth" / f"{name}.png", np.full(SIZE, 7))
    class_map = write_map(tmp_path / "map.json", splits=FOLDERS["splits"])
    (fault,) = open_data_set(tmp_path, class_map).list_files("train").faults
    assert fault.startswith("missing pictures: pictures/street_2 (ending")


def test_context_is_no_class_map_of_other_data(tmp_path: Path) -> None:
    make_own(tmp_path)
    with pytest.raises(DataError, match="is not PASCAL Context, so 'context' is not a class map for it"):
        open_data_set(tmp_path, Path("context"))
