"""Gradients in float64 against central differences, with every gamma away from zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.autograd.gradcheck import GradcheckError
from torch.func import functional_call

from segviz.models.blocks import (
    AttentionFusion,
    ChannelNonLocal,
    FullyAttentional,
    RecurrentCrissCross,
    SparseNonLocal,
    SpatialNonLocal,
)
from segviz.models.blocks.sampling import corners
from tests.block_cases import C, image, made, randomised

SMOOTH = [
    "channel, code", "channel, equation", "spatial", "dual", "channel, then spatial", "criss-cross once",
    "criss-cross twice", "FLA", "SAM", "SAM, horizontal", "SAM, plain", "PSA, shrunk", "PSA, smaller mask",
    "PSA, no softmax, smaller mask",
]  # fmt: skip
PADDINGS = ["zeros", "border", "mask"]


def agrees_with_differences(block: nn.Module, *inputs: Tensor, only: str = "") -> bool:
    """Whether autograd's slopes along inputs and parameters named `only...` are the numerical ones."""
    parameters = {name: value for name, value in block.named_parameters() if name.startswith(only)}

    def features(*values: Tensor) -> Tensor:
        named = dict(zip(parameters, values[len(inputs) :], strict=True))
        return functional_call(block, named, values[: len(inputs)]).features

    return gradcheck(features, (*inputs, *parameters.values()), fast_mode=False)


@pytest.mark.parametrize("case", SMOOTH)
def test_gradients_agree_with_differences(case: str) -> None:
    assert agrees_with_differences(made(case), image(2, C, 2, 3).requires_grad_())


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("window", [(2, 3), (3, 3)], ids=str)
def test_sparse_gradients_agree_with_differences_between_cells(padding: str, window: tuple[int, int]) -> None:
    block, x = randomised(SparseNonLocal(C, window, padding)), image(2, C, 2, 3)
    with torch.no_grad():
        block.offset.weight.mul_(0.02)
        block.offset.bias.copy_(0.4 + 0.2 * torch.rand(2 * window[0] * window[1]))
        assert ((block.offset(x) % 1 - 0.5).abs() < 0.4).all()  # 0.1 cells from every kink
    assert agrees_with_differences(block, x.requires_grad_())


def test_fusion_gradients_agree_with_differences() -> None:
    block = randomised(AttentionFusion(fine=2, coarse=3, channels=3))
    assert agrees_with_differences(block, image(2, 2, 3, 4).requires_grad_(), image(2, 3, 2, 2).requires_grad_())


def test_ema_gradients_agree_with_differences_after_the_bases() -> None:
    block, x = made("EMA"), image(2, C, 2, 3)
    assert agrees_with_differences(block, x, only="after")


def test_ema_drops_the_gradient_through_its_bases() -> None:
    with pytest.raises(GradcheckError):
        agrees_with_differences(made("EMA"), image(2, C, 2, 3).requires_grad_(), only="after")


def test_ema_never_trains_its_first_convolution() -> None:
    block = made("EMA")
    block(image(2, C, 2, 3)).features.sum().backward()
    assert all(parameter.grad is None for parameter in block.before.parameters())


@pytest.mark.parametrize(
    "block",
    [
        ChannelNonLocal(),
        SpatialNonLocal(C),
        FullyAttentional(C),
        RecurrentCrissCross(C),
        SparseNonLocal(C, (3, 3)),
    ],
    ids=lambda block: type(block).__name__,
)
def test_gamma_has_a_gradient_where_it_starts_at_zero(block: nn.Module) -> None:
    block(torch.randn(3, C, 4, 6)).features.square().sum().backward()
    gamma = next(parameter for name, parameter in block.named_parameters() if name.startswith("gamma"))
    assert not gamma.any()
    assert gamma.grad is not None
    assert (gamma.grad != 0).all()


@pytest.mark.parametrize("step", [(0.0, 1.0), (1.0, 0.0)])
def test_at_a_whole_cell_the_slope_is_that_towards_the_next(step: tuple[float, float]) -> None:
    squares = (torch.arange(5.0)[:, None] + torch.arange(5.0)).square().flatten().double()
    at = torch.tensor([[[[1.0, 1.0]]]], dtype=torch.float64, requires_grad=True)
    index, share = corners(at, (5, 5))
    (squares[index] * share).sum().backward()
    assert at.grad is not None
    assert (at.grad.flatten() @ torch.tensor(step).double()).item() == 3.0**2 - 2.0**2


def test_offsets_of_zero_have_the_slope_of_small_ones() -> None:
    block, x, weights = randomised(SparseNonLocal(C, (3, 3))), image(3, C, 4, 6), image(3, C, 4, 6)
    nn.init.zeros_(block.offset.weight)
    slopes = []
    for offset in (0, 1e-7):
        nn.init.constant_(block.offset.bias, offset)
        slopes += torch.autograd.grad((block(x).features * weights).sum(), block.offset.bias)
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-5)


def test_a_sample_held_at_the_border_has_no_slope() -> None:
    block = randomised(SparseNonLocal(C, (1, 1), "border"))
    nn.init.zeros_(block.offset.weight)
    nn.init.zeros_(block.offset.bias)
    block(image(1, C, 1, 1)).features.sum().backward()
    assert not block.offset.bias.grad.any()
