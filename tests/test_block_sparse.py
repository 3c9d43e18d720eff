"""What SSANet's equations promise of the sparse non-local block (BLOCKS.md, section D)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.models.blocks import SparseNonLocal, SpatialNonLocal, sampling
from segviz.models.blocks.sampling import corners
from segviz.models.blocks.sparse_non_local import window_offsets
from tests.block_cases import C, image, randomised

close = torch.testing.assert_close
SHAPE = (3, C, 4, 6)


def snl(
    window: tuple[int, int] = (3, 3), padding: str = "zeros", offset: tuple[float, float] = (0, 0)
) -> SparseNonLocal:
    """A block whose samples are all displaced alike."""
    block = randomised(SparseNonLocal(C, window, padding))
    with torch.no_grad():
        block.offset.weight.zero_()
        block.offset.bias.copy_(torch.tensor(offset, dtype=torch.float64).repeat(window[0] * window[1]))
    return block


@pytest.mark.parametrize("window", [(3, 3), (3, 5), (2, 3), (4, 2), (9, 9)], ids=str)
def test_zero_offsets_are_local_attention_by_unfold(window: tuple[int, int]) -> None:
    block, x = snl(window), image(*SHAPE)
    up, left = window[0] // 2, window[1] // 2
    padding = (left, window[1] - 1 - left, up, window[0] - 1 - up)
    key, value = (F.unfold(F.pad(layer(x), padding), window) for layer in (block.key, block.value))
    query = block.query(x).flatten(2)
    logits = (query[:, :, None] * key.unflatten(1, (C // 2, -1))).sum(1)
    context = (value.unflatten(1, (C, -1)) * logits.softmax(1)[:, None]).sum(2).unflatten(2, (4, 6))
    close(block(x).features, block.gamma(context) + x)


def test_a_single_sample_at_the_cell_is_two_convolutions() -> None:
    block, x = snl((1, 1)), image(*SHAPE)
    close(block(x).features, block.gamma(block.value(x)) + x)


def dense_context(block: SparseNonLocal, x: Tensor) -> Tensor:
    """The context of a dense block with the same projections."""
    dense = SpatialNonLocal(C, C // 2).double()
    for name in ("query", "key", "value"):
        getattr(dense, name).load_state_dict(getattr(block, name).state_dict())
    return dense(x).context


def test_a_masked_window_over_everything_is_dense_attention() -> None:
    block, x = snl((2 * 4 - 1, 2 * 6 - 1), "mask"), image(*SHAPE)
    close(block(x).context, dense_context(block, x))


def test_a_zero_padded_window_over_everything_is_not_dense_attention() -> None:
    block, x = snl((2 * 4 - 1, 2 * 6 - 1), "zeros"), image(*SHAPE)
    assert (block(x).context - dense_context(block, x)).abs().max() > 0.05


def test_a_zero_query_weighs_all_samples_alike_even_at_the_border() -> None:
    block = snl()
    nn.init.zeros_(block.query.weight)
    nn.init.zeros_(block.query.bias)
    weights = block(image(*SHAPE)).maps[1][0].weights
    close(weights, torch.full_like(weights, 1 / 9))


def test_interpolation_reproduces_an_affine_ramp() -> None:
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    table = (2 * rows - 3 * columns + 1).flatten().double()
    at = torch.rand(1, 5, 7, 2, dtype=torch.float64) * torch.tensor([3.0, 5.0])
    index, share = corners(at, (4, 6))
    close((table[index] * share).sum(-1), 2 * at[..., 0] - 3 * at[..., 1] + 1)


@pytest.mark.parametrize("offset", [(1.0, 0.0), (0.0, 1.0), (-0.5, 0.25)])
def test_a_constant_offset_moves_every_sample(offset: tuple[float, float]) -> None:
    sampled = snl(offset=offset)(image(*SHAPE)).maps[2][0]
    plain = sampled.window_around(1, 2)
    close(sampled.samples(1, 2)[0], plain + torch.tensor(offset, dtype=torch.float64))


def test_an_offset_down_by_one_reads_the_row_below() -> None:
    block, x = snl((1, 1), offset=(1, 0)), image(*SHAPE)
    close(block(x).context[:, :, :-1], block.value(x)[:, :, 1:])


def test_sparse_block_moves_with_the_picture_where_all_samples_stay_inside() -> None:
    block, x = snl(offset=(0.3, -0.4)), image(3, C, 8, 9)
    moved = x.roll((1, 2), (2, 3))
    close(block(moved).features[:, :, 3:6, 4:7], block(x).features[:, :, 2:5, 2:5])


def test_the_order_of_the_samples_does_not_matter() -> None:
    block, x, order = randomised(SparseNonLocal(C, (3, 3))), image(*SHAPE), torch.randperm(9)
    before = block(x).features
    with torch.no_grad():
        block.window.copy_(block.window[order])
        for tensor in (block.offset.weight, block.offset.bias):
            tensor.copy_(tensor.unflatten(0, (9, 2))[order].flatten(0, 1))
    close(block(x).features, before)


@pytest.mark.parametrize("padding", ["zeros", "mask"])
def test_samples_far_outside_give_nothing(padding: str) -> None:
    block, x = snl(padding=padding, offset=(50, -50)), image(*SHAPE)
    close(block(x).features, x + block.gamma.bias[:, None, None])


def test_samples_far_outside_share_their_weight_evenly() -> None:
    weights = snl(offset=(50, -50))(image(*SHAPE)).maps[0][0].weights
    close(weights, torch.full_like(weights, 1 / 9))


def test_a_fresh_block_is_an_identity_on_the_plain_window() -> None:
    block, x = SparseNonLocal(C, (3, 3)).double(), image(*SHAPE)
    attended = block(x)
    assert torch.equal(attended.features, x)
    close(attended.maps[0][0].samples(1, 2)[0], attended.maps[0][0].window_around(1, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_positions_stay_float32_under_autocast(dtype: torch.dtype) -> None:
    block = snl(offset=(0.25, -0.125)).float()  # both exact in half precision, but not beside 127
    with torch.autocast("cpu", dtype):
        sampled = block(torch.randn(1, C, 1, 128)).maps[0][0]
    close(sampled.positions[127, 4], torch.tensor([0.25, 126.875]))


def test_a_window_needs_positive_sides() -> None:
    with pytest.raises(ValueError, match="side below 1"):
        SparseNonLocal(C, (0, 3))


def test_masked_padding_weighs_places_less_than_a_cell_outside() -> None:
    block = randomised(SparseNonLocal(C, (1, 2), "mask"))
    weights = []
    for outside in (0.5, 0.99, 1.0, 3.0):
        nn.init.zeros_(block.offset.weight)
        block.offset.bias.data = torch.tensor([0.0, 1.0, -outside, 0.0], dtype=torch.float64)
        weights.append(block(image(1, C, 1, 4)).maps[0][0].samples(0, 1)[1][1].item())
    assert min(weights[:2]) > 0
    assert weights[2:] == [0, 0]


def test_positions_less_window_are_the_offsets_except_at_the_border() -> None:
    for padding in ("zeros", "mask", "border"):
        block = randomised(SparseNonLocal(C, (1, 1), padding))
        nn.init.zeros_(block.offset.weight)
        block.offset.bias.data = torch.tensor([1.5, 0.25], dtype=torch.float64)
        map_ = block(image(1, C, 4, 5)).maps[0][0]
        offsets = [(map_.samples(row, 2)[0] - map_.window_around(row, 2))[0, 0].item() for row in range(4)]
        assert offsets == ([1.5, 1.5, 1, 0] if padding == "border" else [1.5] * 4)


@pytest.mark.parametrize(("side", "reach"), [(1, [0]), (2, [-1, 0]), (3, [-1, 0, 1]), (4, [-2, -1, 0, 1])])
def test_even_windows_reach_further_up_and_left(side: int, reach: list[int]) -> None:
    assert window_offsets((side, 1))[:, 0].tolist() == reach
    assert window_offsets((1, side))[:, 1].tolist() == reach


@pytest.mark.parametrize("padding", ["zeros", "border", "mask"])
@pytest.mark.parametrize("step", [2**24, 100], ids=["at once", "in steps"])
def test_gathering_k_keys_gives_what_all_products_give(
    padding: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ENTRIES_AT_ONCE", step)
    block, x = randomised(SparseNonLocal(C, (3, 3), padding)), image(*SHAPE).requires_grad_()
    answers = []
    for block.sampling in ("products", "gather"):
        attended = block(x)
        weights = torch.stack([maps[0].weights for maps in attended.maps])
        gradients = torch.autograd.grad(attended.features.square().sum(), (x, *block.parameters()))
        answers.append((attended.features, weights, *gradients))
    for one, other in zip(*answers, strict=True):
        close(one, other, rtol=1e-9, atol=1e-11)


def test_gathering_agrees_in_float32_to_a_millionth() -> None:
    block, x = randomised(SparseNonLocal(C, (5, 5))).float(), image(2, C, 7, 9).float()
    block.sampling = "products"
    wanted = block(x).features
    block.sampling = "gather"
    assert (block(x).features - wanted).abs().max() <= 1e-6 * wanted.abs().max()
