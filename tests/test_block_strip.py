"""What AttaNet's equations promise: strip attention and the fusion of two levels (BLOCKS.md, section D)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from segviz.models.blocks import AttentionFusion, SpatialNonLocal, StripAttentionModule
from tests.block_cases import C, image, randomised
from tests.reference import applied, numbers

close = torch.testing.assert_close
SHAPE = (3, C, 4, 6)
activated = pytest.mark.parametrize("activated", [True, False])
levels = pytest.mark.parametrize("sizes", [((5, 7), (3, 4)), ((4, 6), (2, 3)), ((1, 5), (1, 3))], ids=str)


def sam(activated: bool = True, axis: Literal["vertical", "horizontal"] = "vertical") -> StripAttentionModule:
    return randomised(StripAttentionModule(C, 3, axis, activated))


def afm() -> AttentionFusion:
    return randomised(AttentionFusion(fine=3, coarse=5, channels=C))


@activated
def test_sam_follows_a_permutation_of_the_columns(activated: bool) -> None:
    block, x, order = sam(activated), image(*SHAPE), torch.randperm(6)
    close(block(x[..., order]).features, block(x).features[..., order])


@activated
def test_sam_follows_other_permutations_inside_each_column(activated: bool) -> None:
    block, x = sam(activated), image(*SHAPE)
    order = torch.stack([torch.randperm(4) for _ in range(6)], 1).expand(SHAPE)
    close(block(x.gather(2, order)).features, block(x).features.gather(2, order))


@activated
def test_horizontal_strips_are_vertical_ones_of_the_transpose(activated: bool) -> None:
    upright, flat, x = sam(activated), sam(activated, "horizontal"), image(*SHAPE)
    flat.load_state_dict(upright.state_dict())
    close(flat(x).features, upright(x.mT).features.mT)


def test_sam_with_a_zero_query_adds_the_mean_value() -> None:
    block, x = sam(activated=False), image(*SHAPE)
    nn.init.zeros_(block.query.weight)
    close(block(x).features, x + block.value(x).mean((2, 3), keepdim=True))


def test_sam_of_a_single_row_is_plain_self_attention() -> None:
    block, dense, x = sam(activated=False), SpatialNonLocal(C, 3).double(), image(3, C, 1, 6)
    for name in ("query", "key", "value"):
        getattr(dense, name).weight.data = getattr(block, name).weight.data
        nn.init.zeros_(getattr(dense, name).bias)
    nn.init.ones_(dense.gamma)
    close(block(x).features, dense(x).features)


@activated
def test_sam_of_a_single_column_adds_its_mean_value(activated: bool) -> None:
    block, x = sam(activated), image(3, C, 5, 1)
    close(block(x).features, x + block.value(x).mean(2, keepdim=True))


@activated
def test_sam_of_a_map_constant_along_height_repeats_one_row(activated: bool) -> None:
    block, row = sam(activated), image(3, C, 1, 6)
    close(block(row.expand(SHAPE)).features, block(row).features.expand(SHAPE))


def test_without_relu_pooling_and_projecting_commute() -> None:
    block, x = sam(activated=False), image(*SHAPE)
    close(block.value(x).mean(2), block.value(x.mean(2, keepdim=True)).squeeze(2))


def test_with_relu_keys_are_pooled_after_it() -> None:
    block, x = sam(), image(*SHAPE)
    keys = block(x).maps[0][0].keys
    close(keys, block.key(x)[0].mean(1).T)
    assert (keys - block.key(x.mean(2, keepdim=True))[0, :, 0].T).abs().max() > 1e-3


def test_sam_projects_without_a_bias() -> None:
    assert all("bias" not in name for name, _ in sam(activated=False).named_parameters())


@levels
def test_afm_equals_its_slow_loop(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    block, fine, coarse = afm(), image(3, 3, *sizes[0]), image(3, 5, *sizes[1])
    attended = block(fine, coarse)
    (height, width), (rows, columns) = sizes
    near_row = [r * rows // height for r in range(height)]
    near_column = [c * columns // width for c in range(width)]
    for number in range(3):
        near, far = applied(numbers(fine[number]), block.fine), applied(numbers(coarse[number]), block.coarse)
        raw = numbers(coarse[number])[:, near_row][:, :, near_column]
        joined = applied(np.concatenate((near, raw)), block.joined)
        alpha = 1 / (1 + np.exp(-applied(joined.mean((1, 2), keepdims=True), block.gate)))
        wanted = far[:, near_row][:, :, near_column] * alpha + near * (1 - alpha)
        close(attended.features[number], torch.tensor(wanted), rtol=1e-9, atol=1e-9)
        close(attended.maps[number][0].alpha, torch.tensor(alpha[:, 0, 0]), rtol=1e-9, atol=1e-9)


@levels
@pytest.mark.parametrize("sign", [1, -1])
def test_a_saturated_gate_passes_one_level_alone(sizes: tuple[tuple[int, int], tuple[int, int]], sign: int) -> None:
    block, fine, coarse = afm(), image(3, 3, *sizes[0]), image(3, 5, *sizes[1])
    nn.init.zeros_(block.gate[1].weight)
    nn.init.constant_(block.gate[1].bias, 50.0 * sign)
    far = nn.functional.interpolate(block.coarse(coarse), sizes[0])
    close(block(fine, coarse).features, far if sign > 0 else block.fine(fine))


def test_a_silent_gate_is_one_half() -> None:
    block = AttentionFusion(3, 5, C).double().eval()
    nn.init.zeros_(block.gate[0].weight)
    close(
        block(image(3, 3, 5, 7), image(3, 5, 3, 4)).maps[2][0].alpha,
        torch.full((C,), 0.5, dtype=torch.float64),
    )


def test_mirroring_both_levels_leaves_the_gate_alone() -> None:
    block, fine, coarse = afm(), image(3, 3, 4, 6), image(3, 5, 2, 3)
    for layers in (block.fine, block.coarse):
        layers[0].weight.data = layers[0].weight.data + layers[0].weight.data.flip(3)
    mirrored = block(fine.flip(3), coarse.flip(3))
    close(mirrored.maps[1][0].alpha, block(fine, coarse).maps[1][0].alpha)
    close(mirrored.features.flip(3), block(fine, coarse).features)


def test_afm_trains_on_two_images() -> None:
    assert afm().train()(image(2, 3, 4, 6), image(2, 5, 2, 3)).features.isfinite().all()
