"""Blocks whose weights and input are in half precision: features and maps stay close to float32's."""

from __future__ import annotations

import copy

import pytest
import torch

from segviz.attention.maps import AxisChannelAttention, ChannelAttention, SpatialMap, detach
from segviz.models.registry import MODELS, build
from tests.block_cases import CASES, C, image, made

LOOSEST = {torch.float16: 0.02, torch.bfloat16: 0.1}  # relative error of features, and total variation of a map
both_types = pytest.mark.parametrize("dtype", LOOSEST, ids=str)


@both_types
@pytest.mark.parametrize("case", CASES)
def test_block_and_maps_in_half_precision_are_close_to_float32(case: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    rough, x = made(case).to(dtype), image(2, C, 5, 7).to(dtype)
    exact = copy.deepcopy(rough).float()
    with torch.no_grad():
        half, full = rough(x), exact(x.float())
    for name in ("features", "context"):
        found, wanted = getattr(half, name), getattr(full, name)
        assert found.dtype == dtype
        assert (found.float() - wanted).norm() <= LOOSEST[dtype] * wanted.norm(), name
    for maps, references in zip(half.maps, full.maps, strict=True):
        for found_map, wanted_map in zip(detach(maps), detach(references), strict=True):
            for found, wanted in zip(tables(found_map), tables(wanted_map), strict=True):
                assert found.dtype == torch.float32
                assert found.isfinite().all()
                assert (found - wanted).abs().sum(1).mean() <= 2 * LOOSEST[dtype] * wanted.abs().sum(1).mean()


def tables(map_: object) -> list[torch.Tensor]:
    """The whole matrices that a map stands for, a row for each cell or channel."""
    if isinstance(map_, SpatialMap):
        places = [(row, column) for row in range(map_.grid[0]) for column in range(map_.grid[1])]
        rows = torch.stack([map_.attends_to(*place).flatten() for place in places])
        return [rows, torch.stack([map_.attended_by(*place).flatten() for place in places])]
    if isinstance(map_, AxisChannelAttention):
        return [map_.matrix(line) for line in range(map_.grid[0 if map_.axis == "rows" else 1])]
    assert isinstance(map_, ChannelAttention)
    return [map_.matrix]


@both_types
@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_in_half_precision(name: str, dtype: torch.dtype) -> None:
    with torch.no_grad():
        segmentation = build(name, 3).eval().to(dtype)(torch.zeros(1, 3, 64, 64, dtype=dtype))
    assert segmentation.logits.dtype == dtype
    assert segmentation.logits.isfinite().all()
    assert len(segmentation.attended.maps[0]) == len(MODELS[name].maps)
