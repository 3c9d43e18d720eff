"""What the channel blocks' equations promise: the channel non-local block and FLA (BLOCKS.md, section D)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segviz.models.blocks import ChannelNonLocal, FullyAttentional
from tests.block_cases import C, image, randomised

close = torch.testing.assert_close
both_signs = pytest.mark.parametrize("negate", [True, False])
SHAPE = (3, C, 4, 6)


def channel(negate: bool = True) -> ChannelNonLocal:
    return randomised(ChannelNonLocal(negate))


def fla() -> FullyAttentional:
    return randomised(FullyAttentional(C))


def shuffled(length: int) -> Tensor:
    return torch.randperm(length)


@both_signs
def test_channel_block_follows_a_permutation_of_the_cells(negate: bool) -> None:
    block, x, order = channel(negate), image(*SHAPE).flatten(2), shuffled(24)
    close(block(x[..., None, order]).features, block(x[..., None, :]).features[..., order])


@both_signs
def test_channel_block_follows_a_permutation_of_the_channels(negate: bool) -> None:
    block, x, order = channel(negate), image(*SHAPE), shuffled(C)
    close(block(x[:, order]).features, block(x).features[:, order])


def test_large_orthogonal_channels_tell_the_two_signs_apart() -> None:
    x = 20 * torch.eye(C, dtype=torch.float64).reshape(1, C, 1, C)
    plain, negated = channel(negate=False), channel(negate=True)
    close(plain(x).features, (1 + plain.gamma) * x)
    assert (negated(x).features - (1 + negated.gamma) * x).abs().max() > 0.1


@both_signs
def test_identical_channels_are_weighed_alike(negate: bool) -> None:
    attended = channel(negate)(image(3, 1, 4, 6).expand(SHAPE))
    close(attended.maps[0][0].matrix, torch.full((C, C), 1 / C, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@both_signs
def test_channel_energies_stay_float32_under_autocast(negate: bool, dtype: torch.dtype) -> None:
    block = channel(negate).float()
    x = torch.full((2, C, 96, 96), 4.0)  # energies of 147,456; float16 ends at 65,504
    with torch.autocast("cpu", dtype):
        attended = block(x)
    assert attended.features.isfinite().all()
    close(attended.maps[0][0].matrix, torch.full((C, C), 1 / C))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_fla_affinities_stay_float32_under_autocast(dtype: torch.dtype) -> None:
    block, x = fla().float(), 4 * torch.randn(2, C, 24, 32)
    exact = block(x).maps[0][0]
    with torch.autocast("cpu", dtype):
        rough = block(x).maps[0][0]
    close(rough.matrix(3), exact.matrix(3), rtol=1e-5, atol=1e-6)


def test_fla_is_an_identity_while_gamma_is_zero() -> None:
    block, x = FullyAttentional(C).double(), image(*SHAPE)
    assert torch.equal(block(x).features, x)


@pytest.mark.parametrize("path", ["pooled_rows", "pooled_columns"])
def test_fla_ignores_what_all_context_channels_share(path: str) -> None:
    block, x = fla(), image(*SHAPE)
    before = block(x).features
    with torch.no_grad():
        getattr(block, path).weight.add_(torch.randn(1, C))  # the same row on every row
        getattr(block, path).bias.add_(3)
    close(block(x).features, before)


@pytest.mark.parametrize("path", ["pooled_rows", "pooled_columns"])
def test_fla_feels_a_change_along_the_other_axis(path: str) -> None:
    block, x = fla(), image(*SHAPE)
    before = block(x).features
    with torch.no_grad():
        getattr(block, path).weight.add_(torch.randn(C, 1))
    assert (block(x).features - before).abs().max() > 1e-3


def test_fla_with_zero_linears_adds_the_channel_mean_twice() -> None:
    block, x = fla(), image(*SHAPE)
    for linear in (block.pooled_rows, block.pooled_columns):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    close(block(x).features, x + 2 * block.gamma * x.mean(1, keepdim=True))


def test_fla_follows_permutations_of_rows_and_of_columns() -> None:
    block, x, rows, columns = fla(), image(*SHAPE), shuffled(4), shuffled(6)
    close(block(x[:, :, rows][..., columns]).features, block(x).features[:, :, rows][..., columns])


def test_fla_transposes_with_its_linears_exchanged() -> None:
    block, x = fla(), image(*SHAPE)
    before = block(x).features
    block.pooled_rows, block.pooled_columns = block.pooled_columns, block.pooled_rows
    close(block(x.mT).features, before.mT)


def test_fla_follows_a_permutation_of_the_channels_and_its_weights() -> None:
    block, x, order = fla(), image(*SHAPE), shuffled(C)
    before = block(x).features
    with torch.no_grad():
        for linear in (block.pooled_rows, block.pooled_columns):
            linear.weight.copy_(linear.weight[order][:, order])
            linear.bias.copy_(linear.bias[order])
    close(block(x[:, order]).features, before[:, order])


def test_fla_is_affine_in_gamma() -> None:
    block, x = fla(), image(*SHAPE)
    at = []
    for gamma in (0.0, 1.0, 2.0):
        torch.nn.init.constant_(block.gamma, gamma)
        at.append(block(x).features)
    close(at[0] + at[2], 2 * at[1])


def test_fla_of_many_lines_equals_all_at_once() -> None:
    block, x = fla(), image(1, C, 40, 5)  # more rows than are computed at once
    attended = block(x)
    q_w, q_h = (one.context for one in attended.maps[0])
    rows = torch.einsum("rji,irc->jrc", torch.einsum("jrc,ic->rji", x[0], q_w).softmax(2), x[0])
    columns = torch.einsum("cji,irc->jrc", torch.einsum("jrc,ir->cji", x[0], q_h).softmax(2), x[0])
    close(attended.context[0], rows + columns)
