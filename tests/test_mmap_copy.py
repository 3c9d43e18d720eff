"""Arrays in memory of their own: equal, apart from what they were copied from, and freed with the last reference."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from segviz.data.scenes import draw_scene
from segviz.engine.result_cache import arrays_of
from segviz.models.registry import MODELS
from segviz.prediction.predictor import load_predictor
from segviz.runtime.mmap_copy import SMALL_BYTES, copy_array, copy_tensor

LARGE = (64, 1024, 1024)


@pytest.mark.parametrize("shape", [(0,), (3, 4), (SMALL_BYTES // 4 + 1,), (90, 120, 3, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_kept_array_is_a_copy(shape: tuple[int, ...], dtype: type) -> None:
    given = np.random.default_rng(0).uniform(0, 255, shape).astype(dtype)
    before = given.copy()
    kept = copy_array(given.swapaxes(0, -1))
    np.testing.assert_array_equal(kept, before.swapaxes(0, -1))
    assert kept.dtype == given.dtype
    given[...] = 0
    np.testing.assert_array_equal(kept, before.swapaxes(0, -1))


def test_a_kept_tensor_does_not_hold_on_to_what_it_was_a_part_of() -> None:
    whole = torch.rand(8, 256, 20, 30).to(memory_format=torch.channels_last)
    kept = copy_tensor(whole[3])
    torch.testing.assert_close(kept, whole[3], rtol=0, atol=0)
    assert kept.untyped_storage().nbytes() == kept.nbytes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's report of a process's memory")
def test_a_kept_arrays_memory_goes_back_at_once() -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    source = np.ones(LARGE, np.uint8)
    before = resident()
    kept = copy_array(source)
    assert resident() - before > 60
    del kept
    gc.collect()
    assert resident() - before < 4


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return draw_scene(1).image


@pytest.mark.usefixtures("small_pictures")
@pytest.mark.parametrize("model", MODELS)
def test_a_prediction_holds_only_what_it_shows(model: str, image: np.ndarray) -> None:
    prediction = load_predictor(model, "cpu")(image)
    for name, array in arrays_of(prediction):
        held = array.untyped_storage().nbytes() if isinstance(array, torch.Tensor) else array.nbytes
        assert held == array.nbytes, name
