"""Splits that do not fit in memory: the same samples and batches as those that do, at a memory that does not grow."""

from __future__ import annotations

import os
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from layout_cases import make_own

from segviz.catalogue.checkpoint_file import load_checkpoint
from segviz.data import data_set, split_scan
from segviz.data.data_set import DataSet
from segviz.data.open_data_set import load_split
from segviz.data.read_ahead import map_ahead
from segviz.data.sample import DataError, LazySamples, SampleFiles, Split, count_pixels
from segviz.data.split_scan import RESIDENT_BYTES
from segviz.training import loop
from segviz.training.loop import train_model
from segviz.training.losses import class_weights
from segviz.training.options import TrainOptions
from segviz.training.sampling import STEPS_AHEAD, LazyPool, Sampler, make_pool

CPU = torch.device("cpu")
NAMES = [f"street {number}" for number in range(7)]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def splits(tmp_path: Path) -> tuple[Split, Split]:
    """One data set in memory, and read as needed."""
    make_own(tmp_path, NAMES)
    return load_split(tmp_path, "train"), load_split(tmp_path, "train", limit=0)


def sampler(split: Split, **changes: object) -> Sampler:
    options: dict[str, object] = {"seed": 1, "batch": 3, "crop": (16, 20), "drawn_share": 0.0, "balance": 0.5}
    pools = make_pool(split.samples, 3, CPU), make_pool([], 3, CPU)
    return Sampler(*pools, **{**options, **changes})  # type: ignore[arg-type]


def test_both_forms_hold_the_same_samples(splits: tuple[Split, Split]) -> None:
    resident, lazy = splits
    assert (resident.resident, lazy.resident) == (True, False)
    assert (resident.notes, len(lazy.notes)) == ((), 1) and "its 7 pictures are read as they are needed" in lazy.notes[
        0
    ]
    for one, other in zip(resident.samples, lazy.samples, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.labels, other.labels)
    some = lazy.samples[1::2]
    assert isinstance(some, LazySamples) and [one.name for one in some] == NAMES[1::2]
    assert len(some.counts) == len(some) == 3


def test_both_forms_count_the_same_pixels(splits: tuple[Split, Split]) -> None:
    resident, lazy = (count_pixels(split.samples, 3) for split in splits)
    np.testing.assert_array_equal(resident, lazy)
    assert torch.equal(*(class_weights(split.samples, 3) for split in splits))


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_both_forms_give_the_same_batches_in_any_order_of_steps(splits: tuple[Split, Split], balance: float) -> None:
    resident, lazy = (sampler(split, balance=balance) for split in splits)
    assert isinstance(lazy.real, LazyPool)
    for step in (0, 1, 2, 9, 3, 1):  # as after --resume, too
        for one, other in zip(resident(step), lazy(step), strict=True):
            assert torch.equal(one, other)


def test_processes_share_a_batch_of_pictures_read_as_needed(splits: tuple[Split, Split]) -> None:
    whole = sampler(splits[1])(4)
    parts = [sampler(splits[1], part=(index, 3))(4) for index in range(3)]
    assert torch.equal(torch.cat([images for images, _ in parts]), whole[0])


def test_a_file_that_vanishes_after_the_check_is_named(tmp_path: Path) -> None:
    make_own(tmp_path, NAMES)
    draw = sampler(load_split(tmp_path, "train", limit=0))
    for path in (tmp_path / "train" / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"images/street \d\.png cannot be read as a picture: there is no file"):
        draw(0)


def test_few_pictures_are_in_memory_at_once_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_scan, "map_ahead", lambda work, files: map_ahead(work, files, workers=2))
    pictures: list[weakref.ref[np.ndarray]] = []
    most = 0
    read_picture = data_set.read_picture

    def note(files: SampleFiles) -> np.ndarray:
        nonlocal most
        image = read_picture(files)
        pictures.append(weakref.ref(image))
        most = max(most, sum(one() is not None for one in pictures))
        return image

    monkeypatch.setattr(data_set, "read_picture", note)
    make_own(tmp_path, [str(number) for number in range(60)])
    split = load_split(tmp_path, "train", limit=0)
    assert len(pictures) >= 60 and most <= 8  # two workers, each with one at work and one waiting, and those between
    draw = sampler(split)
    for step in range(5):
        draw(step)
    for sample in split.samples:
        assert sample.image.shape == (24, 32, 3)
    assert len(pictures) >= 120 and most <= 3 * (1 + STEPS_AHEAD) + 10


# ---- what is kept between commands ----------------------------------------------------------------------


def test_a_large_split_is_read_once_and_again_when_a_file_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_own(tmp_path / "data", NAMES)
    read: list[str] = []
    examine = split_scan.examine_sample

    def note(data: DataSet, files: SampleFiles) -> object:
        read.append(files.name)
        return examine(data, files)

    monkeypatch.setattr(split_scan, "examine_sample", note)
    load_split(tmp_path / "data", "train", limit=0)
    assert not (cache / "segviz").exists()  # so small a split is quickly read again
    read.clear()
    monkeypatch.setattr(split_scan, "KEPT_FROM", 0)
    before = sorted(path.name for path in (tmp_path / "data").rglob("*"))
    first = load_split(tmp_path / "data", "train", limit=0)
    assert sorted(read) == NAMES
    assert len(list((cache / "segviz" / "splits").iterdir())) == 1
    again = load_split(tmp_path / "data", "train", limit=0)
    assert sorted(read) == NAMES
    np.testing.assert_array_equal(count_pixels(first.samples, 3), count_pixels(again.samples, 3))
    assert first.notes == again.notes
    os.utime(tmp_path / "data/train/labels/street 3.png", (0, 0))
    load_split(tmp_path / "data", "train", limit=0)
    assert len(read) == 2 * len(NAMES)
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == before
    for entry in (cache / "segviz" / "splits").iterdir():
        entry.write_bytes(b"damaged")
    assert len(load_split(tmp_path / "data", "train", limit=0).samples) == 7


def test_work_ahead_keeps_its_order_and_its_bound() -> None:
    taken: list[int] = []

    def items() -> object:
        for number in range(50):
            taken.append(number)
            yield number

    done = map_ahead(lambda number: number * 2, items(), workers=2)  # type: ignore[arg-type]
    assert next(done) == 0 and len(taken) <= 5
    assert list(done) == [2 * number for number in range(1, 50)]


def test_an_error_ahead_comes_out_where_it_belongs() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise DataError("three")
        return number

    results = map_ahead(work, range(9), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="three"):
        next(results)


@pytest.mark.slow
def test_a_training_has_the_same_weights_wherever_its_pictures_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "val"):
        make_own(tmp_path / "data", NAMES, split, size=(64, 64))
    weights = []
    for limit in (RESIDENT_BYTES, 0):
        monkeypatch.setattr(loop, "load_split", partial(load_split, limit=limit))
        out = tmp_path / f"{limit}.safetensors"
        small = TrainOptions("fcn", tmp_path / "data", out, steps=3, batch=2, crop=(32, 32), scenes=0, device="cpu")
        train_model(small)
        weights.append(load_checkpoint(out)[0].state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
