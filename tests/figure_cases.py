"""Maps and predictions of a few cells, for the tests of what is drawn and written."""

from __future__ import annotations

import numpy as np
import torch

from segviz.attention.maps import (
    AttendedFeatures,
    AxisChannelAttention,
    BasesAttention,
    ChannelAttention,
    CrissCrossAttention,
    DotProductAttention,
    Gate,
    InterlacedAttention,
    OffsetMaskAttention,
    PooledAttention,
    SampledAttention,
    StripAttention,
)
from segviz.data.classes import CAMVID
from segviz.prediction.over_complete import OverCompleteMap
from segviz.prediction.prediction import Prediction

GRID, SIZE = (3, 4), (30, 40)
PSA_FEATURES = (6, 7)  # the grid that PSA shrinks to GRID
CELLS = GRID[0] * GRID[1]
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
LABELS = np.repeat(np.arange(3, dtype=np.uint8), 10)[:, None] * np.ones((1, 40), np.uint8)


def prediction(*maps: object, model: str = "model", labels: np.ndarray = LABELS) -> Prediction:
    attended = AttendedFeatures("attended", GRID, torch.rand(GRID), torch.rand(GRID))
    named = {one.name: one for one in maps}  # type: ignore[attr-defined]
    return Prediction(model, labels, np.full(labels.shape, 0.5, np.float32), CAMVID, named, attended, IMAGE)


def strips() -> StripAttention:
    return StripAttention("strip", GRID, torch.randn(CELLS, 8), torch.randn(4, 8), "vertical")


def samples() -> SampledAttention:
    window = torch.tensor([[dy, dx] for dy in (-1.0, 0, 1) for dx in (-1.0, 0, 1)])
    cells = torch.tensor([[y, x] for y in range(3) for x in range(4)], dtype=torch.float32)
    return SampledAttention("samples", GRID, cells[:, None] + window + 0.3, torch.rand(CELLS, 9).softmax(1), window)


def masks() -> tuple[OffsetMaskAttention, OffsetMaskAttention]:
    logits = torch.randn(2, CELLS, CELLS)
    return (
        OffsetMaskAttention("collect", GRID, logits[0], "collect", shrunk_from=PSA_FEATURES),
        OffsetMaskAttention("distribute", GRID, logits[1], "distribute", shrunk_from=PSA_FEATURES),
    )


def over_complete(*places: tuple[int, int]) -> tuple[dict[str, OverCompleteMap], ...]:
    """What PSA predicts at places of IMAGE, for masks of 2H - 1 x 2W - 1."""
    values = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    cells = [masks()[0].cell(*place, *SIZE) for place in places]
    return tuple(
        {name: OverCompleteMap(name, values, cell, GRID) for name in ("collect", "distribute")} for cell in cells
    )


def dots() -> DotProductAttention:
    return DotProductAttention("spatial", GRID, torch.randn(CELLS, 4), torch.randn(CELLS, 4))


def one_of_each() -> Prediction:
    """A prediction with every kind of map."""
    return prediction(
        dots(), strips(), samples(), *masks(),
        CrissCrossAttention("cross", GRID, torch.randn(2, CELLS, 4), torch.randn(2, CELLS, 4)),
        BasesAttention("bases", GRID, torch.rand(CELLS, 5).softmax(1), torch.randn(5, 4)),
        InterlacedAttention("interlaced", GRID, *torch.randn(2, 4, 4, 5), *torch.randn(2, 4, 4, 5), (2, 2), (0, 0)),
        PooledAttention("regions", GRID, torch.rand(CELLS, 3).softmax(1), torch.rand(CELLS, 3).softmax(0), "regions"),
        ChannelAttention("channel", torch.rand(5, 5).softmax(1)),
        AxisChannelAttention("rows", GRID, torch.randn(5, *GRID), torch.randn(5, GRID[1]), "rows"),
        Gate("gate", torch.rand(6)),
    )  # fmt: skip
