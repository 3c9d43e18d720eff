"""Data sets on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segviz.catalogue.record import Record, from_json, to_json
from segviz.data.class_sets import CLASS_SETS, find_other_class, give_colours
from segviz.data.classes import CAMVID, ClassSet
from segviz.data.open_data_set import load_split
from segviz.data.sample import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound data set of two pictures."""
    (tmp_path / "meta.json").write_text(json.dumps({"classes": list(CAMVID.names), "void": 255}))
    (tmp_path / "train.txt").write_text("one\ntwo\n")
    for part in ("images", "labels"):
        (tmp_path / "train" / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, suffix in (("one", "png"), ("two", "webp")):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(tmp_path / f"train/images/{name}.{suffix}")
        Image.fromarray(rng.integers(0, 11, (30, 40), np.uint8)).save(tmp_path / f"train/labels/{name}.png")
    return tmp_path


def test_a_sound_split_is_read_whole(folder: Path) -> None:
    split = load_split(folder, "train")
    assert [sample.name for sample in split.samples] == ["one", "two"]
    assert split.classes is CAMVID
    assert split.samples[1].image.shape == (30, 40, 3) and split.samples[1].labels.max() == 10


def test_palette_labels_keep_their_indices(folder: Path) -> None:
    labels = Image.new("P", (40, 30), 7)
    labels.putpalette([255, 0, 0] * 256)
    labels.save(folder / "train/labels/one.png")
    assert (load_split(folder, "train").samples[0].labels == 7).all()


def test_labels_may_have_the_classes_colours(folder: Path) -> None:
    Image.new("RGB", (40, 30), CAMVID.palette[3]).save(folder / "train/labels/one.png")
    assert (load_split(folder, "train").samples[0].labels == 3).all()


def test_labels_of_one_bit_are_the_classes_0_and_1(folder: Path) -> None:
    Image.new("1", (40, 30), 1).save(folder / "train/labels/one.png")
    assert (load_split(folder, "train").samples[0].labels == 1).all()


@pytest.mark.parametrize("name", ["one.PNG", "one.Jpeg", "one.JPG", "one.jfif", "one.jpe", "one.bmp", "one.TIF"])
def test_an_ending_may_have_any_case_and_the_content_decides(folder: Path, name: str) -> None:
    (folder / "train/images/one.png").rename(folder / "train/images" / name)
    (folder / "train/labels/one.png").rename(folder / "train/labels/one.PNG")
    assert [sample.name for sample in load_split(folder, "train").samples] == ["one", "two"]


def test_names_with_dots_and_folders_are_found(folder: Path) -> None:
    for part in ("images", "labels"):
        (folder / "train" / part / "ulm").mkdir()
        (folder / "train" / part / "one.png").rename(folder / "train" / part / "ulm" / "a.b.PNG")
    (folder / "train.txt").write_text("ulm/a.b\ntwo\n")
    assert [sample.name for sample in load_split(folder, "train").samples] == ["ulm/a.b", "two"]


def test_a_palette_in_an_editors_order_is_read_by_its_colours(folder: Path) -> None:
    expected = load_split(folder, "train").samples[0].labels
    Image.fromarray(CAMVID.colours[expected]).quantize(16).save(folder / "train/labels/one.png")
    found = np.asarray(Image.open(folder / "train/labels/one.png"))
    assert (found != expected).any()
    np.testing.assert_array_equal(load_split(folder, "train").samples[0].labels, expected)


def test_a_mark_of_byte_order_is_passed_over(folder: Path) -> None:
    for path in (folder / "meta.json", folder / "train.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [sample.name for sample in load_split(folder, "train").samples] == ["one", "two"]


def remove_labels(folder: Path) -> None:
    (folder / "train/labels/two.png").unlink()


def remove_image(folder: Path) -> None:
    (folder / "train/images/one.png").unlink()


def shrink_labels(folder: Path) -> None:
    Image.new("L", (40, 29)).save(folder / "train/labels/two.png")


def unknown_class(folder: Path) -> None:
    Image.new("L", (40, 30), 11).save(folder / "train/labels/two.png")


def break_image(folder: Path) -> None:
    (folder / "train/images/two.webp").write_bytes(b"RIFF")


def empty_list(folder: Path) -> None:
    (folder / "train.txt").write_text("\n")


def no_list(folder: Path) -> None:
    (folder / "train.txt").unlink()


def no_meta(folder: Path) -> None:
    (folder / "meta.json").unlink()


def odd_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("[1, 2]")


def meta(text: str | bytes) -> Callable[[Path], None]:
    return lambda folder: put(folder / "meta.json", text)


def listing(text: str | bytes) -> Callable[[Path], None]:
    return lambda folder: put(folder / "train.txt", text)


def put(path: Path, text: str | bytes) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def labels_as(picture: Image.Image, **more: object) -> Callable[[Path], None]:
    return lambda folder: picture.save(folder / "train/labels/two.png", **more)


def bomb(folder: Path) -> None:
    Image.new("1", (9000, 9000)).save(folder / "train/images/one.png")


def folder_for_a_file(folder: Path) -> None:
    no_list(folder)
    (folder / "train.txt").mkdir()


RGB_LABELS = Image.new("RGB", (40, 30), (1, 2, 3))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove_labels, r"missing labels: train/labels/two\.png; add them or remove them from train\.txt"),
        (
            remove_image,
            r"missing pictures: train/images/one \(ending in \.webp, \.png, .* or \.tiff\); add them or remove them",
        ),
        (shrink_labels, r"labels/two\.png: the labels are 40 x 29 pixels, but the picture is 40 x 30"),
        (
            unknown_class,
            r"labels/two\.png: no class has the index 11 \(1,200 pixels, .*\); classes are 0 to 10, void is 255",
        ),
        (break_image, r"images/two\.webp cannot be read"),
        (empty_list, r"train\.txt names no samples"),
        (no_list, r"train\.txt is missing"),
        (no_meta, r"meta\.json is missing"),
        (odd_meta, r"meta\.json must be JSON of the form"),
        (meta("[" * 100_000), r"meta\.json must be JSON of the form .*\(it is not JSON\)"),
        (meta('{"classes": "abc"}'), r"'classes' is \"abc\", not a list"),
        (meta('{"classes": ["a"], "void": 1e999}'), r"'void' is Infinity, not a whole number"),
        (
            meta('{"classes": ["a", "b"], "void": 1}'),
            r"2 classes of which 2 differ, and void 1; use 1 to 255 different",
        ),
        (meta('{"classes": ["a", "a"]}'), r"2 classes of which 1 differ"),
        (meta('{"classes": []}'), r"0 classes"),
        (meta(b"\xff\xfe"), r"meta\.json is not text in UTF-8; it holds"),
        (listing(b"one\n\xff\n"), r"train\.txt is not text in UTF-8; it holds one sample name per line"),
        (listing("one\n../../one\n"), r"train\.txt has the line '\.\./\.\./one', which names no file in images"),
        (listing("/etc/passwd\n"), r"has the line '/etc/passwd'"),
        (listing("x" * 300), r"has the line 'xxx"),
        (folder_for_a_file, r"train\.txt cannot be read \(Is a directory\)"),
        (
            bomb,
            r"images/one\.png cannot be read as a picture: the picture has 9000 x 9000 pixels; at most 50 megapixels",
        ),
        (labels_as(RGB_LABELS), r"labels/two\.png: no class has the colour #010203 \(1,200 pixels"),
        (labels_as(Image.new("I;16", (40, 30))), r"labels/two\.png: the PNG has 16 bits per channel; save the labels"),
        (labels_as(RGB_LABELS, format="JPEG"), r"labels/two\.png: this is not a PNG; .* save the labels as PNG"),
    ],
)
def test_bad_data_is_named_with_its_file(folder: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=words):
        load_split(folder, "train")


def test_all_faults_are_told_at_once(folder: Path) -> None:
    (folder / "train.txt").write_text("none\none\ntwo\n")
    remove_image(folder)
    unknown_class(folder)
    with pytest.raises(
        DataError, match=r"(?s)images/none, train/images/one .*labels/none\.png;.*two\.png: no class has the index 11"
    ):
        load_split(folder, "train")


def test_many_missing_labels_are_named_first_and_counted_after(folder: Path) -> None:
    names = ["one", *(f"street {number}" for number in range(12))]
    for name in names[1:]:
        Image.new("RGB", (40, 30)).save(folder / f"train/images/{name}.png")
    (folder / "train.txt").write_text("\n".join(names))
    with pytest.raises(DataError) as fault:
        load_split(folder, "train")
    listed = ", ".join(f"train/labels/street {number}.png" for number in range(5))
    cure = "add them or remove them from train.txt"
    skip = "--skip-damaged of `train` and `evaluate` leaves out 12 of 13 pictures"
    assert str(fault.value) == f"train split of {folder}: missing labels: {listed}, and 7 more; {cure}; {skip}"


def test_many_unsound_labels_are_named_first_and_counted_after(folder: Path) -> None:
    names = [f"street {number}" for number in range(7)]
    for name in names:
        Image.new("RGB", (40, 30)).save(folder / f"train/images/{name}.png")
        Image.new("L", (40, 30), 11).save(folder / f"train/labels/{name}.png")
    (folder / "train.txt").write_text("\n".join(names))
    with pytest.raises(DataError, match=r"street 4\.png: no class has the index 11 [^;]*;[^\n]*\n  and 2 more$"):
        load_split(folder, "train")


def test_how_classes_differ_is_said_of_one_class_too() -> None:
    assert find_other_class(("sky",), CAMVID.names) == "it has 1 class, the data 11"
    assert find_other_class(CAMVID.names, ("sky",)) == "it has 11 classes, the data 1"


def test_class_names_and_colours_must_pair_up() -> None:
    with pytest.raises(ValueError, match="2 classes but 1 colours"):
        ClassSet(("a", "b"), ((0, 0, 0),))


def test_other_class_names_get_distinct_colours() -> None:
    colours = give_colours(tuple("abcdefghijklmnopqrst")).palette
    assert len(set(colours)) == 20


@pytest.mark.parametrize("name", CLASS_SETS)
def test_classes_of_a_known_data_set_get_its_colours(name: str) -> None:
    known = CLASS_SETS[name]
    assert give_colours(known.names) == known
    assert Record("psa", known.names, "resnet50", 8).class_set == known


def test_a_record_keeps_the_colours_of_its_data() -> None:
    record = Record("psa", ("a", "b"), "resnet50", 8, palette=((1, 2, 3), (4, 5, 6)))
    assert from_json(to_json(record)).class_set == ClassSet(("a", "b"), ((1, 2, 3), (4, 5, 6)))
