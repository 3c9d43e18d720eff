"""Influence through a block's context alone: numerical slopes, exact zeros, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from test_attribution import CLASSES, predictor_of, random_model, random_picture
from torch import Tensor, nn

from segviz.catalogue.record import Record
from segviz.models.blocks import (
    AtrousPyramid,
    ExpectationMaximization,
    GlobalPooling,
    NoContext,
    PyramidPooling,
    RecurrentCrissCross,
    SparseNonLocal,
    SparseNonLocalWithPooling,
    StripAttentionModule,
)
from segviz.models.influence import measure_influence, measure_influences
from segviz.models.registry import MODELS
from segviz.prediction.influence import NoContextError, measure_pixel_influence
from segviz.prediction.predictor import Predictor
from tests.block_cases import CASES, C, image, made, psa, randomised

GRID, CELL = (4, 5), (1, 3)
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "pyramid pooling": lambda: PyramidPooling(C),
    "atrous pyramid": lambda: AtrousPyramid(C, rates=(1, 2)),
    "global pooling": lambda: GlobalPooling(C),
}
STEP = 1e-5


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def block_of(case: str) -> nn.Module:
    return awake(made(case) if case in CASES else randomised(POOLINGS[case]()))


def awake(block: nn.Module) -> nn.Module:
    """Most ReLUs open: else one may hide the context."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
    return block


def at_cell(features: Tensor) -> Tensor:
    """A linear answer of one cell, summed over the pictures."""
    return answers(features).sum()


def answers(features: Tensor) -> Tensor:
    weights = torch.arange(1, 1 + features.shape[1], dtype=features.dtype)
    return features[:, :, CELL[0], CELL[1]] @ weights


def numerical_influence(contribution: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Central differences of an answer with respect to every number of the input, all in one batch."""
    moves = STEP * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    with torch.no_grad():
        slopes = (contribution(x + moves) - contribution(x - moves)) / (2 * STEP)
    return slopes.view_as(x).abs().sum(1)[0]


def context_of(block: nn.Module) -> Callable[[Tensor], Tensor]:
    """What the context alone adds to the answer: the whole answer less that of the block without its context."""
    if isinstance(block, SparseNonLocalWithPooling):
        for parameter in block.pooled.parameters():
            nn.init.zeros_(parameter)  # the pooled branch is not the block's context
    silent = deepcopy(block)
    silent.switch_off()
    return lambda x: answers(block(x).features) - answers(silent(x).features)


@pytest.mark.parametrize("case", [case for case in [*CASES, *POOLINGS] if case not in ("EMA", "atrous pyramid")])
def test_influence_agrees_with_differences_of_what_the_context_adds(case: str) -> None:
    block, x = block_of(case), image(1, C, *GRID)
    contribution = context_of(block)
    expected = numerical_influence(contribution, x)
    torch.testing.assert_close(measure_influence(block, x, at_cell), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", ["EMA", "atrous pyramid"])
def test_influence_agrees_with_differences_where_a_relu_joins_context_and_input(case: str) -> None:
    """Nothing is added there, so the input beside the context is held fixed instead; EM steps count."""
    block, x = block_of(case), image(1, C, *GRID)
    expected = numerical_influence(lambda moved: answers(block(moved, x.expand_as(moved)).features), x)
    assert expected.any()
    torch.testing.assert_close(measure_influence(block, x, at_cell), expected, rtol=1e-4, atol=1e-6)


def test_ema_depends_on_cells_that_only_moved_its_bases() -> None:
    block = randomised(ExpectationMaximization(C, bases=3))
    assert (measure_influence(block, image(1, C, *GRID), at_cell) > 0).sum() > 10


@pytest.mark.parametrize("case", [*CASES, *POOLINGS])
def test_a_residual_changes_no_value(case: str) -> None:
    block, x = block_of(case), image(2, C, *GRID)
    with torch.no_grad():
        own, given = block(x), block(x, x.clone())
    assert torch.equal(own.features, given.features) and torch.equal(own.context, given.context)


@pytest.mark.parametrize("case", [*CASES, *POOLINGS])
def test_without_context_the_influence_is_exactly_zero(case: str) -> None:
    block = block_of(case)
    assert measure_influence(block, image(1, C, *GRID), lambda one: one.sum()).any()
    block.switch_off()
    assert not measure_influence(block, image(1, C, *GRID), lambda one: one.sum()).any()


def test_no_block_has_no_influence() -> None:
    assert not measure_influence(NoContext().eval(), image(1, C, *GRID), at_cell).any()


def test_one_criss_cross_pass_ends_at_the_cross() -> None:
    influence = measure_influence(randomised(RecurrentCrissCross(C, 2, passes=1)), image(1, C, *GRID), at_cell)
    cross = torch.zeros(GRID, dtype=torch.bool)
    cross[CELL[0]] = cross[:, CELL[1]] = True
    assert torch.equal(influence > 0, cross)


def test_two_criss_cross_passes_reach_everywhere() -> None:
    influence = measure_influence(randomised(RecurrentCrissCross(C, 2)), image(1, C, *GRID), at_cell)
    assert (influence > 0).all()


@pytest.mark.parametrize("window", [(3, 3), (1, 3), (1, 1)], ids=str)
def test_sparse_samples_end_at_their_window(window: tuple[int, int]) -> None:
    block = randomised(SparseNonLocal(C, window))
    for parameter in block.offset.parameters():
        nn.init.zeros_(parameter)
    influence = measure_influence(block, image(1, C, *GRID), at_cell)
    inside = torch.zeros(GRID, dtype=torch.bool)
    down, along = window[0] // 2, window[1] // 2
    inside[CELL[0] - down : CELL[0] + down + 1, CELL[1] - along : CELL[1] + along + 1] = True
    assert torch.equal(influence > 0, inside)


def test_point_wise_masks_end_at_their_reach() -> None:
    block = awake(randomised(psa((3, 3), directions=("collect",))))
    influence = measure_influence(block, image(1, C, *GRID), lambda one: one[..., CELL[0], CELL[1]].sum())
    far = torch.ones(GRID, dtype=torch.bool)
    far[CELL[0] - 1 : CELL[0] + 2, CELL[1] - 1 : CELL[1] + 2] = False
    assert not influence[far].any() and influence[~far].any()


def test_strips_cannot_tell_the_cells_of_a_column_apart() -> None:
    block = randomised(StripAttentionModule(C, 3, activated=False))
    influence = measure_influence(block, image(1, C, *GRID), at_cell)
    influence[CELL] = influence[0, CELL[1]]  # the cell itself is the query besides
    torch.testing.assert_close(influence, influence[:1].expand(GRID), rtol=1e-10, atol=1e-14)
    assert not torch.allclose(influence[:, 0], influence[:, 1])


@pytest.mark.parametrize("case", ["EMA", "FLA", "dual", "SNL with pooling", "PSA"])
def test_pictures_of_a_batch_do_not_mix(case: str) -> None:
    block, x = made(case), image(3, C, *GRID)
    together = measure_influences(block, x, lambda one: one[..., CELL[0], CELL[1]].sum())
    alone = [measure_influence(block, one[None], lambda one: one[..., CELL[0], CELL[1]].sum()) for one in x]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_behind(case: str) -> None:
    block, x = made(case), image(1, C, *GRID)
    for parameter in block.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    attributes = {name: set(vars(one)) for name, one in block.named_modules()}
    with torch.inference_mode():
        measure_influence(block, x, at_cell)
    assert x.grad is None and not x.requires_grad and not block.training
    assert all((parameter.grad == 1).all() and parameter.requires_grad for parameter in block.parameters())
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    assert {name: set(vars(one)) for name, one in block.named_modules()} == attributes


def test_a_block_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"training mode, where pictures mix; call eval\(\) first"):
        measure_influence(made("FLA").train(), image(1, C, *GRID), at_cell)


def test_an_answer_of_many_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="the answer has 20 numbers; give one"):
        measure_influence(made("FLA"), image(1, C, *GRID), lambda one: one[0, 0])


# ---- a whole network ---------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models see pictures at 32 x 48 pixels."""
    monkeypatch.setattr("segviz.image.WORKING_PIXELS", 32 * 48)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", [name for name in MODELS if name != "fcn"])
def test_every_model_has_influence_on_its_answer(name: str) -> None:
    model = random_model(name)
    for parameter in model.block.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)  # SNL's gamma is a convolution
    predictor, picture = Predictor(model, Record(name, CLASSES, "mobilenetv2_100", 8)), random_picture(0)
    influence = measure_pixel_influence(predictor, picture, (7, 11))
    prediction = predictor(picture)
    assert influence.values.dtype == np.float32 and influence.values.shape == prediction.attended.grid
    assert influence.model == name and influence.pixel == (7, 11)
    assert influence.class_index == prediction.labels[7, 11]
    assert influence.values.any() and (influence.values >= 0).all()
    model.block.switch_off()
    assert not measure_pixel_influence(predictor, picture, (7, 11)).values.any()


@pytest.mark.usefixtures("small")
def test_a_model_without_context_is_refused() -> None:
    predictor = predictor_of(random_model("fcn"))
    with pytest.raises(NoContextError, match="has no context, so no place has influence through it; choose"):
        measure_pixel_influence(predictor, random_picture(0), (1, 1))
    with pytest.raises(ValueError, match="outside"):
        measure_pixel_influence(predictor_of(random_model("fla")), random_picture(0), (999, 1))
