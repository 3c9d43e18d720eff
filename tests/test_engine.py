"""The engine: one forward a picture and model, shared, bounded, and never mixed up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import pytest
import torch

from segviz.attention import AttendedFeatures
from segviz.data.classes import CAMVID
from segviz.engine import Engine, digest, size_of
from segviz.predict import Prediction, Predictor


class CountingPredictor(Predictor):
    """Answers with the picture's first value, slowly, and counts."""

    def __init__(self, name: str) -> None:
        self.name, self.calls, self.running, self.most = name, 0, 0, 0
        self.lock = threading.Lock()

    def __call__(self, image: np.ndarray) -> Prediction:
        with self.lock:
            self.calls, self.running = self.calls + 1, self.running + 1
            self.most = max(self.most, self.running)
        time.sleep(0.02)
        with self.lock:
            self.running -= 1
        labels = np.full(image.shape[:2], image[0, 0, 0], np.uint8)
        means = AttendedFeatures("attended", (1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
        return Prediction(self.name, labels, labels.astype(np.float32), CAMVID, MappingProxyType({}), means)


def picture(value: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


@pytest.fixture
def predictors() -> dict[str, CountingPredictor]:
    return {name: CountingPredictor(name) for name in ("a", "b")}


def test_a_picture_runs_once_for_each_model(predictors: dict[str, CountingPredictor]) -> None:
    engine = Engine(predictors.__getitem__)  # type: ignore[arg-type]
    first = engine.predict("a", picture(1))
    assert engine.predict("a", picture(1)) is first
    assert engine.predict("b", picture(1)).model == "b"
    assert (predictors["a"].calls, predictors["b"].calls) == (1, 1)
    assert engine.knows("a", picture(1)) and not engine.knows("a", picture(2))


def test_threads_share_one_forward_and_get_their_own_picture(predictors: dict[str, CountingPredictor]) -> None:
    engine = Engine(predictors.__getitem__)  # type: ignore[arg-type]
    values = [value % 5 for value in range(60)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda value: engine.predict("a", picture(value)), values))
    assert [int(one.labels[0, 0]) for one in answers] == values
    assert predictors["a"].calls == 5
    assert predictors["a"].most == 1


def test_one_changed_pixel_is_another_picture() -> None:
    image = np.zeros((1000, 1000, 3), np.uint8)
    other = image.copy()
    other[777, 333, 1] = 1
    assert digest(image) != digest(other)
    assert digest(image) != digest(image.reshape(500, 2000, 3))
    assert digest(image) == digest(image[::1].copy())


def test_the_cache_is_bounded_in_bytes_and_drops_the_oldest(predictors: dict[str, CountingPredictor]) -> None:
    one = size_of(predictors["a"](picture(0)))
    predictors["a"].calls = 0
    engine = Engine(predictors.__getitem__, cache_bytes=3 * one)  # type: ignore[arg-type]
    for value in range(5):
        engine.predict("a", picture(value))
    assert [engine.knows("a", picture(value)) for value in range(5)] == [False, False, True, True, True]


def test_a_failure_reaches_the_caller_and_is_tried_again() -> None:
    attempts = []

    def load(name: str) -> CountingPredictor:
        attempts.append(name)
        if len(attempts) == 1:
            raise OSError("the disk was busy")
        return CountingPredictor(name)

    engine = Engine(load)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="busy"):
        engine.predict("a", picture(1))
    assert engine.predict("a", picture(1)).model == "a"
