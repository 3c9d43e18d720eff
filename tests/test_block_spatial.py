"""What the equations promise: spatial, dual, criss-cross and EM attention (BLOCKS.md, section D)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segviz.models.blocks import (
    ChannelSpatialNonLocal,
    DualNonLocal,
    ExpectationMaximization,
    RecurrentCrissCross,
    SpatialNonLocal,
)
from tests.block_cases import C, image, randomised

close = torch.testing.assert_close
SHAPE = (3, C, 4, 6)
passes = pytest.mark.parametrize("passes", [1, 2])


def spatial() -> SpatialNonLocal:
    return randomised(SpatialNonLocal(C, 2))


def cross(passes: int) -> RecurrentCrissCross:
    """Mild weights: with large ones the softmax saturates and far influences vanish below float64."""
    return randomised(RecurrentCrissCross(C, 2, passes), scale=0.2)


def ema() -> ExpectationMaximization:
    return randomised(ExpectationMaximization(C, bases=3))


def zeroed(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def influence(block: nn.Module, row: int, column: int) -> Tensor:
    """How strongly every cell of a 4 x 6 map moves the context at one cell."""
    x = image(1, C, 4, 6).requires_grad_()
    block(x).context[0, :, row, column].sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0)


def test_spatial_block_follows_a_permutation_of_the_cells() -> None:
    block, x, order = spatial(), image(*SHAPE).flatten(2), torch.randperm(24)
    close(block(x[..., None, order]).features, block(x[..., None, :]).features[..., order])


def test_spatial_block_ignores_the_key_bias() -> None:
    block, x = spatial(), image(*SHAPE)
    before = block(x).features
    nn.init.normal_(block.key.bias)
    close(block(x).features, before)


def test_spatial_block_with_a_zero_query_adds_the_mean_value() -> None:
    block, x = spatial(), image(*SHAPE)
    zeroed(block.query)
    close(block(x).features, x + block.gamma * block.value(x).mean((2, 3), keepdim=True))


def test_spatial_block_of_many_cells_equals_all_at_once() -> None:
    block, x = spatial(), image(1, C, 30, 36)  # 1080 cells: more than are computed at once
    query, key, value = (layer(x).flatten(2)[0].T for layer in (block.query, block.key, block.value))
    close(block(x).context[0].flatten(1), ((query @ key.T).softmax(1) @ value).T)


def test_dual_block_doubles_its_input_while_both_gammas_are_zero() -> None:
    x = image(*SHAPE)
    assert torch.equal(DualNonLocal(C).double()(x).features, 2 * x)


@pytest.mark.parametrize("block", [SpatialNonLocal(C), ChannelSpatialNonLocal(C), RecurrentCrissCross(C)], ids=str)
def test_block_is_an_identity_while_gamma_is_zero(block: nn.Module) -> None:
    x = image(*SHAPE)
    assert torch.equal(block.double()(x).features, x)


def test_a_cross_counts_its_own_cell_once() -> None:
    block, x = cross(passes=1), image(*SHAPE)
    zeroed(block.query)
    weights = block(x).maps[0][0].pass_attends_to(0, 1, 2)
    assert weights[1, 2].item() == pytest.approx(1 / (4 + 6 - 1), rel=1e-12)


def test_one_pass_reaches_the_cross_alone() -> None:
    reached = influence(cross(passes=1), 1, 2) > 0
    wanted = torch.zeros(4, 6, dtype=torch.bool)
    wanted[1], wanted[:, 2] = True, True
    assert torch.equal(reached, wanted)


def test_two_passes_reach_everything() -> None:
    assert (influence(cross(passes=2), 1, 2) > 1e-9).all()


@passes
def test_criss_cross_follows_permutations_of_rows_and_of_columns(passes: int) -> None:
    block, x, rows, columns = cross(passes), image(*SHAPE), torch.randperm(4), torch.randperm(6)
    close(block(x[:, :, rows][..., columns]).features, block(x).features[:, :, rows][..., columns])


@passes
def test_criss_cross_transposes(passes: int) -> None:
    block, x = cross(passes), image(*SHAPE)
    close(block(x.mT).features, block(x).features.mT)


def test_criss_cross_passes_share_their_weights() -> None:
    once, twice, x = cross(passes=1), cross(passes=2), image(*SHAPE)
    once.load_state_dict(twice.state_dict())
    close(once(once(x).features).features, twice(x).features)


def test_ema_responsibilities_sum_to_one() -> None:
    z = ema()(image(*SHAPE)).maps[1][0].responsibilities
    close(z.sum(1), torch.ones(24, dtype=torch.float64))


def test_ema_bases_have_unit_norm() -> None:
    bases = ema()(image(*SHAPE)).maps[1][0].bases
    close(bases.norm(dim=1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-4)


def test_ema_ignores_the_order_of_its_bases() -> None:
    block, x = ema(), image(*SHAPE)
    before = block(x).features
    block.initial_bases.copy_(block.initial_bases[:, [2, 0, 1]].clone())
    close(block(x).features, before)


def test_ema_follows_a_permutation_of_the_cells() -> None:
    block, x, order = ema(), image(*SHAPE).flatten(2), torch.randperm(24)
    close(block(x[..., None, order]).features, block(x[..., None, :]).features[..., order])


def test_ema_with_a_silent_last_batchnorm_is_a_relu() -> None:
    block, x = ema(), image(*SHAPE)
    nn.init.zeros_(block.after[1].weight)
    nn.init.zeros_(block.after[1].bias)
    close(block(x).features, x.relu())


def test_ema_update_mixes_in_the_mean_of_the_fitted_bases() -> None:
    block, start = ema(), ema().initial_bases.clone()
    block.initial_bases.copy_(start)
    maps = block(image(*SHAPE)).maps
    block.update(maps)
    fitted = torch.stack([one[0].bases.T for one in maps]).mean(0)
    close(block.initial_bases, 0.9 * start + 0.1 * fitted)


def test_ema_bases_start_with_unit_norm() -> None:
    close(ExpectationMaximization(C, bases=3).initial_bases.norm(dim=0), torch.ones(3))
