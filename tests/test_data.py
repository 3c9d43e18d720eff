"""Data sets on disk, augmentation, and scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segviz.data.augmentation import augment
from segviz.data.classes import CAMVID, ClassSet, class_set
from segviz.data.folder import DataError, load_split
from segviz.metrics import Confusion, confusion


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
        (remove_labels, r"labels/two\.png is missing"),
        (remove_image, r"images/one has no picture"),
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
    remove_labels(folder)
    remove_image(folder)
    with pytest.raises(DataError, match=r"images/one.*labels/two"):
        load_split(folder, "train")


def test_labels_move_with_their_picture() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.repeat(rng.integers(0, 11, (6, 8), np.uint8), 20, 0), 20, 1)
    image = np.repeat(labels[:, :, None] * 20, 3, 2)
    for _ in range(10):
        view, moved = augment(image, labels, (64, 96), rng)
        assert view.shape == (64, 96, 3) and moved.shape == (64, 96)
        assert set(np.unique(moved)) <= {*range(11), 255}
        grey = view.mean(2)
        means = {
            index: np.median(grey[moved == index])
            for index in np.unique(moved)
            if (moved == index).sum() > 400 and index < 11
        }
        ordered = [means[index] for index in sorted(means)]
        assert ordered == sorted(
            ordered
        )  # brighter picture, higher index: the jitter is monotone, shifts would break it


def test_a_view_larger_than_the_picture_is_filled_with_void() -> None:
    labels = np.zeros((10, 10), np.uint8)
    _, moved = augment(np.zeros((10, 10, 3), np.uint8), labels, (64, 64), np.random.default_rng(0))
    assert (moved == 255).any() and (moved == 0).any()


def test_class_names_and_colours_must_pair_up() -> None:
    with pytest.raises(ValueError, match="2 classes but 1 colours"):
        ClassSet(("a", "b"), ((0, 0, 0),))


def test_other_class_names_get_distinct_colours() -> None:
    colours = class_set(tuple("abcdefghijklmnopqrst")).palette
    assert len(set(colours)) == 20


def test_iou_against_counting_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    result = confusion(truth, predicted, 4)
    np.testing.assert_allclose(result.iou[:3], [1 / 3, 2 / 3, 0])
    assert np.isnan(result.iou[3])  # absent from both: no score, rather than a zero
    assert result.mean_iou == pytest.approx(1 / 3)
    assert result.accuracy == pytest.approx(3 / 5)


def test_counts_add_up_and_shapes_must_agree() -> None:
    one = Confusion(np.eye(3, dtype=np.int64))
    np.testing.assert_array_equal((one + one).matrix, 2 * np.eye(3))
    with pytest.raises(ValueError, match="cannot be compared"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 3)


def test_nothing_counted_is_no_score() -> None:
    nothing = confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 3)
    assert np.isnan(nothing.mean_iou) and np.isnan(nothing.accuracy)
