"""No block copies an operand matrix by matrix: the number of copies does not depend on the rows and columns."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from segviz.models.blocks import FullyAttentional, RecurrentCrissCross
from segviz.models.blocks.memory_layout import as_matrices, to_channels_last
from segviz.models.registry import MODELS

CHANNELS = 32
BOUNDS = {"snl": 75, "psa": 50}  # the others: 30; SNL's are mostly conversions of indices
FORMATS = {"rows first": torch.contiguous_format, "channels last": torch.channels_last}
every_block = pytest.mark.parametrize("name", [row.name for row in MODELS.values() if row.maps])


def count_copies(block: nn.Module, x: Tensor, gradient: torch.memory_format | None) -> int:
    """Copies of a forward, and of its backward if the gradient's format is given."""
    with (
        profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler,
        torch.set_grad_enabled(bool(gradient)),
    ):
        features = block(x.requires_grad_(bool(gradient))).features
        if gradient:
            features.backward(torch.ones_like(features, memory_format=gradient))
    return sum(event.name == "aten::copy_" for event in profiler.events())


@every_block
def test_copies_do_not_grow_with_rows_and_columns(name: str) -> None:
    block = MODELS[name].block(CHANNELS).eval()
    for form, gradient in product(FORMATS.values(), (None, *FORMATS.values())):
        block.to(memory_format=form)
        small, large = (
            count_copies(block, torch.randn(1, CHANNELS, *size).contiguous(memory_format=form), gradient)
            for size in ((7, 10), (14, 16))
        )
        assert large <= small + 2, (form, gradient)  # a larger map may be split once more
        assert large <= BOUNDS.get(name, 30), (form, gradient)


@pytest.mark.parametrize("block", [RecurrentCrissCross, FullyAttentional])
def test_a_batch_is_copied_whole(block: type[nn.Module]) -> None:
    for form, gradient in product(FORMATS.values(), FORMATS.values()):
        x = torch.randn(3, CHANNELS, 14, 16).contiguous(memory_format=form)
        assert count_copies(block(CHANNELS), x, gradient) <= 45


@pytest.mark.parametrize("layout", [as_matrices, to_channels_last])
def test_layouts_keep_values_and_second_derivatives(layout: object) -> None:
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64).permute(0, 1, 3, 2)[..., ::2].requires_grad_()
    assert torch.equal(layout(x), x)
    assert torch.autograd.gradgradcheck(lambda one: layout(one) ** 3, (x,))


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_matrices_have_a_stride_of_one(form: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=form).requires_grad_()
    lines = as_matrices(x.permute(0, 3, 2, 1))
    assert 1 in lines.stride()[-2:]
    if form == torch.channels_last:
        assert lines.data_ptr() == x.data_ptr()  # no copy
