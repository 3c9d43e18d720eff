"""Data sets on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segviz.data.classes import CAMVID, ClassSet, class_set
from segviz.data.folder import DataError, load_split


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


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove_labels, r"missing labels: train/labels/two\.png; add them or take them off train\.txt"),
        (remove_image, r"missing pictures \(\.webp, \.png, \.jpg\): train/images/one; add them or take them off"),
        (shrink_labels, r"labels/two\.png is 40 x 29 but its picture is 40 x 30"),
        (unknown_class, r"labels/two\.png holds the values \[11\]; classes are 0 to 10, void is 255"),
        (break_image, r"images/two\.webp cannot be read"),
        (empty_list, r"train\.txt names no samples"),
        (no_list, r"train\.txt is missing"),
        (no_meta, r"meta\.json is missing"),
        (odd_meta, r"meta\.json must be JSON of the form"),
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
        DataError, match=r"images/none, train/images/one;.*labels/none\.png;.*two\.png holds the values"
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
    cure = "add them or take them off train.txt"
    assert str(fault.value) == f"train split of {folder}: missing labels: {listed}, and 7 more; {cure}"


def test_many_unsound_labels_are_named_first_and_counted_after(folder: Path) -> None:
    names = [f"street {number}" for number in range(7)]
    for name in names:
        Image.new("RGB", (40, 30)).save(folder / f"train/images/{name}.png")
        Image.new("L", (40, 30), 11).save(folder / f"train/labels/{name}.png")
    (folder / "train.txt").write_text("\n".join(names))
    with pytest.raises(DataError, match=r"street 4\.png holds the values \[11\];[^;]*; and 2 more$"):
        load_split(folder, "train")


def test_class_names_and_colours_must_pair_up() -> None:
    with pytest.raises(ValueError, match="2 classes but 1 colours"):
        ClassSet(("a", "b"), ((0, 0, 0),))


def test_other_class_names_get_distinct_colours() -> None:
    colours = class_set(tuple("abcdefghijklmnopqrst")).palette
    assert len(set(colours)) == 20
