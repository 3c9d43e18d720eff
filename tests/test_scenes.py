"""The drawn street scenes: repeatable, complete, exact, and moved only by the knob that is turned."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from segviz.data.scenes import pool
from segviz.data.scenes.pool import scene_pool
from segviz.data.scenes.scene import Scene, SceneOptions, draw_scene, random_options

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
DEFAULT = SceneOptions()


@lru_cache(maxsize=64)
def scene(seed: int, options: SceneOptions = DEFAULT) -> Scene:
    return draw_scene(seed, options, width=240, height=180)


def pixels(seed: int, label: int, options: SceneOptions = DEFAULT) -> int:
    return int((scene(seed, options).labels == label).sum())


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (draw_scene(5, random_options(5), width=240, height=180) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert (draw_scene(6, width=240, height=180).image != first.image).any()


def test_a_drawing_can_be_ended_between_its_parts() -> None:
    parts = []

    def third() -> None:
        parts.append(time.thread_time())
        if len(parts) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        draw_scene(5, between=third)
    parts.clear()
    draw_scene(5, between=lambda: parts.append(time.thread_time()))
    assert len(parts) > 20
    longest = max(after - before for before, after in pairwise(parts))
    assert longest < 0.3 * (parts[-1] - parts[0]), "a click would wait for most of the drawing"


def test_drawing_is_the_same_after_other_scenes_were_drawn() -> None:
    before = draw_scene(3, width=160, height=120).image
    draw_scene(9, width=200, height=100)
    assert (draw_scene(3, width=160, height=120).image == before).all()


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 20))])
def test_every_class_shows(seed: int) -> None:
    counts = np.bincount(scene(seed).labels.ravel(), minlength=11)
    assert len(counts) == 11  # no void
    assert counts.min() >= 25, counts


@pytest.mark.parametrize(("width", "height"), [(64, 48), (333, 217), (97, 161), (180, 320), (512, 128)])
def test_picture_and_labels_have_the_size_asked_for(width: int, height: int) -> None:
    drawn = draw_scene(1, width=width, height=height)
    assert drawn.image.shape == (height, width, 3)
    assert drawn.labels.shape == (height, width)
    assert drawn.image.dtype == drawn.labels.dtype == np.uint8
    assert drawn.image.flags.c_contiguous
    assert drawn.labels.max() <= 10
    assert (drawn.seed, drawn.options) == (1, DEFAULT)


def test_the_default_size_is_camvids() -> None:
    assert draw_scene(0).labels.shape == (360, 480)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("label", "less", "more"),
    [
        (POLE, {"pole_width": 0.06}, {"pole_width": 0.4}),
        (CAR, {"vehicle_size": 0.6}, {"vehicle_size": 1.6}),
        (CAR, {"vehicle_distance": 40.0}, {"vehicle_distance": 7.0}),
        (FENCE, {"fence_length": 2.0}, {"fence_length": 20.0}),
        (PEDESTRIAN, {"crowding": 0.0}, {"crowding": 1.0}),
    ],
)
def test_a_knob_moves_its_own_class(seed: int, label: int, less: dict[str, float], more: dict[str, float]) -> None:
    assert pixels(seed, label, replace(DEFAULT, **less)) < pixels(seed, label, replace(DEFAULT, **more))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "change", [{"pole_width": 0.2}, {"vehicle_size": 0.8}, {"vehicle_distance": 25.0}, {"fence_length": 4.0}]
)
def test_a_knob_leaves_the_rest_still(seed: int, change: dict[str, float]) -> None:
    still, moved = scene(seed), scene(seed, replace(DEFAULT, **change))
    same = still.labels == moved.labels
    assert same.mean() > 0.85
    far = cv2.erode(same.astype(np.uint8), np.ones((19, 19))) > 0  # away from what moved, its shadow's edge too
    apart = np.abs(still.image.astype(int) - moved.image.astype(int)).max(-1)[far]
    assert np.median(apart) <= 1
    assert (apart > 24).mean() < 0.08


def test_an_empty_street_has_no_fence_no_people_and_one_vehicle() -> None:
    empty = scene(2, SceneOptions(fence_length=0, crowding=0))
    assert not set(np.unique(empty.labels)) & {FENCE, PEDESTRIAN, BICYCLIST}
    assert CAR in empty.labels


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pole_width", 0.0),
        ("vehicle_size", 3.0),
        ("vehicle_distance", 4.0),
        ("fence_length", -1.0),
        ("crowding", 1.5),
    ],
)
def test_options_out_of_range_are_refused_with_the_cure(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} {value} is out of range; choose .* to "):
        SceneOptions(**{name: value})


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="crowding"):
        SceneOptions(crowding=float("nan"))


def test_a_bad_seed_or_size_is_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match="seed -1 is negative; choose 0 or more"):
        draw_scene(-1)
    with pytest.raises(ValueError, match="width 0 is out of range; choose 16 to 8192"):
        draw_scene(0, width=0)


def test_random_options_vary_and_repeat() -> None:
    many = [random_options(seed) for seed in range(30)]
    assert len(set(many)) == 30
    assert many[7] == random_options(7)
    assert np.ptp([options.vehicle_distance for options in many]) > 10


def test_a_scene_is_drawn_in_reasonable_time() -> None:
    draw_scene(0)
    start = time.process_time()
    draw_scene(1)
    assert time.process_time() - start < 1.0


def test_the_sky_is_brighter_and_bluer_than_the_road() -> None:
    bright, blue = [], []
    for seed in range(5):
        drawn = scene(seed)
        sky, road = (drawn.image[drawn.labels == label].mean(0) for label in (SKY, ROAD))
        bright.append(sky.mean() - road.mean())
        blue.append((sky[2] - sky[0]) - (road[2] - road[0]))
    assert min(bright) > 20
    assert np.mean(blue) > 0


@pytest.mark.parametrize("seed", range(5))
def test_label_edges_are_edges_of_the_picture(seed: int) -> None:
    drawn = scene(seed)
    grey = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edge = cv2.morphologyEx(drawn.labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert steep[edge].mean() > 1.8 * steep[~edge].mean()


def test_no_class_is_a_flat_fill() -> None:
    drawn = scene(4)
    for label in (BUILDING, ROAD, PAVEMENT, TREE, CAR):
        assert drawn.image[drawn.labels == label].std() > 6


def test_a_damaged_cache_is_drawn_again_and_replaced(tmp_path: Path) -> None:
    (first,) = scene_pool(1, 5, width=48, height=36, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    other = io.BytesIO()
    np.savez(other, images=np.zeros((2, 36, 48, 3), np.uint8), labels=np.zeros((2, 36, 48), np.uint8))
    for damaged in (b"", b"PK\x03\x04garbage", whole[: len(whole) // 2], whole[:-9] + bytes(9), other.getvalue()):
        file.write_bytes(damaged)
        (again,) = scene_pool(1, 5, width=48, height=36, cache=tmp_path)
        assert np.array_equal(again.image, first.image) and np.array_equal(again.labels, first.labels)
        assert list(tmp_path.iterdir()) == [file]
        with np.load(file) as stored:
            assert np.array_equal(stored["images"][0], first.image)


def test_scenes_are_drawn_by_as_many_processes_as_there_are_cores_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(workers: int, *more: object) -> None:
        asked.append(workers)
        raise RuntimeError("no process is needed")

    monkeypatch.setattr(pool, "available_cores", lambda: 3)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", refuse)
    with pytest.raises(RuntimeError, match="no process"):
        pool.draw_scenes(range(1000), 48, 36)
    assert asked == [3]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    without = scene_pool(1, 5, width=48, height=36, cache=tmp_path / "file" / "cache")
    (cached,) = scene_pool(1, 5, width=48, height=36, cache=tmp_path / "cache")
    assert np.array_equal(without[0].image, cached.image) and len(list((tmp_path / "cache").iterdir())) == 1
