"""A map's cells are placed where the features that they stand for see the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.attention.cells import cell_centres
from segviz.attention.maps import SpatialMap
from segviz.catalogue.checkpoint_file import load_checkpoint
from segviz.models.backbone import output_size
from segviz.models.blocks import PointWiseSpatialAttention
from segviz.models.registry import MODELS
from segviz.paths import BUNDLED
from tests.block_cases import randomised

Place = tuple[float, float]
ATTENDING = [name for name in MODELS if name not in ("fcn", "channel_nl", "fla")]


def pooled(image: Tensor, stride: int, channels: int) -> Tensor:
    """Features that see just the pixels of their own cell, half of it on either side of its centre."""
    grid = output_size((image.shape[2], image.shape[3]), stride)
    return F.adaptive_avg_pool2d(image, grid).expand(-1, channels, -1, -1)


@contextmanager
def record_cells(block: nn.Module) -> Iterator[list[Tensor]]:
    """The features from which a block computes its maps: its input, or what PSA shrinks it to."""
    inputs: list[Tensor] = []
    layers = [one.mask for one in block.branches.values()] if isinstance(block, PointWiseSpatialAttention) else [block]
    handles = [layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for layer in layers]
    yield inputs
    for handle in handles:
        handle.remove()


def centre(weights: Tensor) -> Place:
    """The centre of mass, in pixels from the first one's centre."""
    down, along = (weights.sum(axis) for axis in (1, 0))
    rows, columns = (torch.arange(len(side), dtype=side.dtype) for side in (down, along))
    return float(down @ rows / down.sum()), float(along @ columns / along.sum())


def seen_by(features: Tensor, cell: tuple[int, int], image: Tensor) -> Tensor:
    """How much each pixel, as a bright dot, changes the features of a cell."""
    mixed = torch.randn(features.shape[1], dtype=features.dtype) @ features[0, :, cell[0], cell[1]]
    return torch.autograd.grad(mixed, image, retain_graph=True)[0][0].abs().sum(0)


@pytest.mark.parametrize("size", [(360, 480), (384, 472)], ids=str)  # features of 45 x 60 and 48 x 59 cells
@pytest.mark.parametrize("name", ATTENDING)
def test_a_bright_dot_changes_the_cell_at_its_place(name: str, size: tuple[int, int]) -> None:
    row = MODELS[name]
    block, stride = randomised(row.block(row.channels), 0.1), row.output_stride // (2 if row.fused else 1)
    image = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    with record_cells(block) as inputs:
        attended = block(pooled(image, stride, row.channels))
    maps = [one for one in attended.maps[0] if isinstance(one, SpatialMap)]
    assert maps
    for map_, features in zip(maps, inputs, strict=True):
        assert features.shape[2:] == map_.grid
        down, along = cell_centres(map_, size)
        (rows, columns) = map_.grid
        for cell in ((0, 0), (rows - 1, columns - 1), (rows // 3, columns // 2)):
            y, x = centre(seen_by(features, cell, image))
            assert (y, x) == pytest.approx((down[cell[0]], along[cell[1]]), abs=0.5)
            assert map_.cell(round(y), round(x), *size) == cell


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTENDING)
def test_a_trained_cell_sees_the_picture_around_its_place(name: str) -> None:
    """The mean is off by less than half a cell of the deepest features, as padding and training move what they see.

    `sam`, whose deepest features have stride 32, sees 8 pixels further down than its cells of stride 16 are.
    """
    model, _ = load_checkpoint(BUNDLED / f"{name}.safetensors")
    generator, size, errors = torch.Generator().manual_seed(1), (192, 256), []
    image = (2 * torch.rand(1, 3, *size, generator=generator) - 1).requires_grad_()
    with record_cells(model.block) as inputs:
        map_ = next(one for one in model(image).attended.maps[0] if isinstance(one, SpatialMap))
    down, along = cell_centres(map_, size)
    for number in range(12):
        row, column = map_.grid[0] // 2 - 1 + number % 3, map_.grid[1] // 2 - 2 + number // 3
        y, x = centre(seen_by(inputs[0], (row, column), image))
        errors.append((y - down[row], x - along[column]))
    assert (torch.tensor(errors).mean(0).abs() < MODELS[name].output_stride / 2).all()
