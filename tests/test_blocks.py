"""What holds for every block: it equals the slow loops, and shape, layout, mode and saving change nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from segviz.models.blocks import (
    AtrousPyramid,
    GlobalPooling,
    NoContext,
    PyramidPooling,
    SparseNonLocal,
)
from segviz.models.blocks.layers import SMALLEST_NORMAL, attention_softmax
from tests.block_cases import CASES, SHAPES, C, image, made, psa, randomised
from tests.reference import expected

WITHOUT_BATCHNORM = [
    case for case, make in CASES.items() if not any(isinstance(one, nn.BatchNorm2d) for one in make().modules())
]
every_case = pytest.mark.parametrize("case", CASES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def assert_equals_loops(block: nn.Module, x: Tensor) -> None:
    attended = block(x)
    for number, one in enumerate(x):
        loops = expected(block, one)
        for found, wanted in ((attended.features, loops.features), (attended.context, loops.context)):
            torch.testing.assert_close(found[number], torch.tensor(wanted), rtol=1e-9, atol=1e-9)


@every_case
@every_shape
def test_block_equals_its_slow_loop(case: str, shape: tuple[int, ...]) -> None:
    assert_equals_loops(made(case), image(*shape))


@pytest.mark.parametrize("padding", ["zeros", "border", "mask"])
@pytest.mark.parametrize("window", [(3, 3), (2, 3), (9, 9), (9, 11)], ids=str)
def test_sparse_block_equals_its_slow_loop_at_zero_offsets(padding: str, window: tuple[int, int]) -> None:
    block = randomised(SparseNonLocal(C, window, padding))
    nn.init.zeros_(block.offset.weight)
    nn.init.zeros_(block.offset.bias)
    assert_equals_loops(block, image(3, C, 4, 5))


@pytest.mark.parametrize("padding", ["zeros", "border", "mask"])
def test_sparse_block_equals_its_slow_loop_when_many_samples_fall_outside(padding: str) -> None:
    block = randomised(SparseNonLocal(C, (3, 3), padding))
    nn.init.normal_(block.offset.bias, std=4)
    assert_equals_loops(block, image(3, C, 4, 5))


@pytest.mark.parametrize("size", [(4, 3), (5, 7), (6, 8), (1, 5)], ids=str)
@pytest.mark.parametrize("shrink", [1, 2])
def test_compact_psa_equals_its_slow_loop(size: tuple[int, int], shrink: int) -> None:
    mask = ((size[0] - 1) // shrink + 1, (size[1] - 1) // shrink + 1)
    assert_equals_loops(randomised(psa(mask, compact=True, shrink=shrink)), image(3, C, *size))


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (6, 9), (4, 2)], ids=str)
@pytest.mark.parametrize("outside", ["unseen", "zero"])
def test_shrunk_psa_equals_its_slow_loop_on_odd_and_even_maps(size: tuple[int, int], outside: str) -> None:
    assert_equals_loops(randomised(psa((5, 7), shrink=2, outside=outside)), image(3, C, *size))


@every_case
def test_memory_layout_changes_nothing(case: str) -> None:
    block, x = made(case), image(3, C, 5, 7)
    plain = block(x).features
    strided = torch.empty(3, C, 5, 14, dtype=x.dtype)[..., ::2].copy_(x)
    for other in (
        strided,
        x.transpose(2, 3).contiguous().transpose(2, 3),
        x.to(memory_format=torch.channels_last),
    ):
        torch.testing.assert_close(block(other).features, plain, rtol=1e-10, atol=1e-10)


@every_case
def test_each_image_of_a_batch_is_on_its_own(case: str) -> None:
    block, x = made(case), image(3, C, 5, 7)
    alone = torch.cat([block(one[None]).features for one in x])
    torch.testing.assert_close(block(x).features, alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", WITHOUT_BATCHNORM)
def test_training_mode_changes_nothing_without_batchnorm(case: str) -> None:
    block, x = made(case), image(2, C, 4, 3)
    torch.testing.assert_close(block.train()(x).features, block.eval()(x).features, rtol=0, atol=0)


@every_case
def test_state_dict_round_trip(case: str) -> None:
    block, x = made(case), image(2, C, 4, 3)
    twin = CASES[case]().double().eval()
    twin.load_state_dict(block.state_dict())
    torch.testing.assert_close(twin(x).features, block(x).features, rtol=0, atol=0)


@every_case
def test_forward_leaves_no_trace_on_the_block(case: str) -> None:
    block = made(case)
    before, state = attributes(block), copy.deepcopy(block.state_dict())
    block(image(2, C, 4, 3))
    assert attributes(block) == before
    assert all(torch.equal(value, state[name]) for name, value in block.state_dict().items())


def attributes(block: nn.Module) -> list[dict[str, object]]:
    """Everything that hangs on the modules: attributes, and what their tables of buffers and hooks hold."""
    return [
        {name: dict(value) if isinstance(value, dict) else value for name, value in vars(module).items()}
        for module in block.modules()
    ]


@every_case
def test_forward_leaves_the_input_alone(case: str) -> None:
    x = image(2, C, 4, 3)
    kept = x.clone()
    made(case)(x)
    assert torch.equal(x, kept)


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast_stays_finite_and_close_to_float32(case: str, dtype: torch.dtype) -> None:
    block, x = made(case).float(), image(2, C, 5, 7).float()
    exact = block(x).features
    with torch.autocast("cpu", dtype):
        rough = block(x).features.float()
    assert rough.isfinite().all()
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("context", [PyramidPooling, AtrousPyramid, GlobalPooling, NoContext])
@every_shape
def test_contexts_without_attention_keep_the_grid(context: type[nn.Module], shape: tuple[int, ...]) -> None:
    block = context() if context is NoContext else context(C)
    attended = block.eval()(torch.randn(shape))
    assert attended.features.shape[2:] == attended.context.shape[2:] == shape[2:]
    assert attended.maps == ((),) * shape[0]


@pytest.mark.parametrize(("context", "times"), [(PyramidPooling, 2), (AtrousPyramid, 1), (GlobalPooling, 2)])
def test_contexts_without_attention_widen_as_documented(context: type[nn.Module], times: int) -> None:
    assert context(C).eval()(torch.randn(2, C, 4, 3)).features.shape == (2, times * C, 4, 3)


def test_attention_weights_are_never_denormal_unless_a_gradient_needs_them() -> None:
    logits = torch.tensor([[0.0, -86.0, -95.0, -200.0], [0.0, torch.nan, 1.0, 2.0]])
    weights = attention_softmax(logits)
    assert weights[0, 1] > 0 and torch.equal(weights[0, 2:], torch.zeros(2))
    assert weights[1].isnan().all()  # what is not finite stays so, and is told
    plain = attention_softmax(logits.requires_grad_())
    assert torch.equal(plain[0], logits[0].softmax(0)) and 0 < plain[0, 2] < SMALLEST_NORMAL
    plain[0].square().sum().backward()
    assert logits.grad is not None and logits.grad[0].isfinite().all()
