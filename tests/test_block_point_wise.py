"""What PSANet's equations promise of point-wise spatial attention (BLOCKS.md, section D)."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from segviz.models.blocks import PointWiseBranch
from segviz.models.blocks.point_wise_spatial_attention import window_index
from tests.block_cases import image

close = torch.testing.assert_close
Direction = Literal["collect", "distribute"]
SIZES = [(4, 6), (1, 5), (5, 1), (3, 4)]
both = pytest.mark.parametrize("direction", ["collect", "distribute"])
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


class Given(nn.Module):
    """Answers with one tensor, whatever it is asked: a mask put in place of the predicted one."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.answer = mask

    def forward(self, _: Tensor) -> Tensor:
        return self.answer


def branch(direction: Direction, mask: Tensor, mask_size: tuple[int, int], **options: object) -> PointWiseBranch:
    """A branch that moves its input along a mask of (batch, mask_height * mask_width, height, width)."""
    block = PointWiseBranch(1, 1, mask_size, direction, **options)
    block.reduce, block.mask = nn.Identity(), Given(mask)
    return block


def full(size: tuple[int, int]) -> tuple[int, int]:
    return 2 * size[0] - 1, 2 * size[1] - 1


def masks(size: tuple[int, int], mask_size: tuple[int, int] | None = None) -> Tensor:
    height, width = mask_size or full(size)
    return image(3, height * width, *size)


def one_hot(size: tuple[int, int], down: int, along: int) -> Tensor:
    """The logit 100 at one offset, 0 elsewhere, the same at every place."""
    height, width = full(size)
    mask = torch.zeros(3, height, width, *size, dtype=torch.float64)
    mask[:, size[0] - 1 + down, size[1] - 1 + along] = 100
    return mask.flatten(1, 2)


@every_size
def test_distribute_energies_are_the_transpose_of_collects(size: tuple[int, int]) -> None:
    mask, x = masks(size), image(3, 2, *size)
    collect = branch("collect", mask, full(size), softmax=False, norm=1.0)
    distribute = branch("distribute", mask, full(size), softmax=False, norm=1.0)
    y = image(3, 2, *size)
    close((collect(x, size).features * y).sum(), (distribute(y, size).features * x).sum())


def test_distribute_weights_are_not_the_transpose_of_collects() -> None:
    mask, x, y = masks((4, 6)), image(3, 2, 4, 6), image(3, 2, 4, 6)
    collect, distribute = branch("collect", mask, (7, 11)), branch("distribute", mask, (7, 11))
    difference = (collect(x, (4, 6)).features * y).sum() - (distribute(y, (4, 6)).features * x).sum()
    assert difference.abs() > 1e-3


@both
@every_size
@pytest.mark.parametrize("outside", ["unseen", "zero"])
@pytest.mark.parametrize("mask_size", [(3, 5), (7, 11), (9, 13)], ids=str)
def test_weights_over_the_sources_sum_to_one(
    direction: Direction, size: tuple[int, int], outside: str, mask_size: tuple[int, int]
) -> None:
    ones = torch.ones(3, 2, *size, dtype=torch.float64)
    close(branch(direction, masks(size, mask_size), mask_size, outside=outside)(ones, size).features, ones)


@both
@every_size
def test_a_constant_mask_is_global_average_pooling(direction: Direction, size: tuple[int, int]) -> None:
    x = image(3, 2, *size)
    moved = branch(direction, torch.full_like(masks(size), 0.7), full(size))(x, size).features
    close(moved, x.mean((2, 3), keepdim=True).expand_as(x))


@both
@every_size
def test_a_one_hot_centre_is_the_identity(direction: Direction, size: tuple[int, int]) -> None:
    x = image(3, 2, *size)
    close(branch(direction, one_hot(size, 0, 0), full(size))(x, size).features, x)


@pytest.mark.parametrize("offset", [(1, 0), (0, 2), (2, 1)])
def test_collect_reads_ahead_along_a_one_hot_offset(offset: tuple[int, int]) -> None:
    (down, along), x = offset, image(3, 2, 4, 6)
    moved = branch("collect", one_hot((4, 6), down, along), (7, 11))(x, (4, 6)).features
    close(moved[:, :, : 4 - down, : 6 - along], x[:, :, down:, along:])


@pytest.mark.parametrize("offset", [(1, 0), (0, 2), (2, 1)])
def test_distribute_sends_ahead_along_a_one_hot_offset(offset: tuple[int, int]) -> None:
    (down, along), x = offset, image(3, 2, 4, 6)
    moved = branch("distribute", one_hot((4, 6), down, along), (7, 11))(x, (4, 6)).features
    close(moved[:, :, down:, along:], x[:, :, : 4 - down, : 6 - along])


@both
@pytest.mark.parametrize("mask_size", [(9, 13), (7, 15), (11, 11)], ids=str)
def test_a_large_mask_serves_a_small_map_with_its_centre_crop(direction: Direction, mask_size: tuple[int, int]) -> None:
    size, x = (4, 6), image(3, 2, 4, 6)
    mask = masks(size, mask_size)
    top, left = (mask_size[0] - 7) // 2, (mask_size[1] - 11) // 2
    crop = mask.unflatten(1, mask_size)[:, top : top + 7, left : left + 11].flatten(1, 2)
    close(
        branch(direction, mask, mask_size)(x, size).features,
        branch(direction, crop, (7, 11))(x, size).features,
    )


@every_size
def test_each_mask_entry_serves_as_many_cells_as_its_offset_allows(size: tuple[int, int]) -> None:
    height, width = size
    index, reached = window_index(size, full(size))
    counts = torch.bincount(index[reached], minlength=(2 * height - 1) * (2 * width - 1))
    for m in range(2 * height - 1):
        for n in range(2 * width - 1):
            wanted = (height - abs(m - height + 1)) * (width - abs(n - width + 1))
            assert counts[m * (2 * width - 1) + n] == wanted


@both
def test_mask_entries_that_point_outside_get_no_gradient(direction: Direction) -> None:
    mask, x = masks((4, 6)).requires_grad_(), image(3, 2, 4, 6)
    (branch(direction, mask, (7, 11))(x, (4, 6)).features * image(3, 2, 4, 6)).sum().backward()
    assert mask.grad is not None
    windows = mask.grad.unflatten(1, (7, 11))
    for row in range(4):
        for column in range(6):
            inside = torch.zeros(7, 11, dtype=torch.bool)
            inside[3 - row : 7 - row, 5 - column : 11 - column] = True
            assert torch.equal(windows[0, :, :, row, column] != 0, inside)


@both
@every_size
def test_mirroring_picture_and_mask_mirrors_the_result(direction: Direction, size: tuple[int, int]) -> None:
    mask, x = masks(size), image(3, 2, *size)
    mirrored = mask.unflatten(1, full(size)).flip(2).flatten(1, 2).flip(3)
    moved = branch(direction, mirrored, full(size))(x.flip(3), size).features
    close(moved.flip(3), branch(direction, mask, full(size))(x, size).features)


@every_size
def test_a_mask_alike_everywhere_collects_what_its_reflection_distributes(size: tuple[int, int]) -> None:
    x, height, width = image(3, 2, *size), *full(size)
    mask = image(3, height * width, 1, 1).expand(-1, -1, *size)
    collected = branch("collect", mask, full(size))(x, size).features
    close(branch("distribute", mask.flip(1), full(size))(x, size).features, collected)


@both
@pytest.mark.parametrize("norm", [None, 7.0])
def test_without_softmax_the_branch_is_linear_in_the_mask(direction: Direction, norm: float | None) -> None:
    one, other, x = masks((4, 6)), masks((4, 6)), image(3, 2, 4, 6)
    moved = [
        branch(direction, mask, (7, 11), softmax=False, norm=norm)(x, (4, 6)).features
        for mask in (one, other, 2 * one - 3 * other)
    ]
    close(moved[2], 2 * moved[0] - 3 * moved[1])


@both
def test_without_softmax_the_norm_is_the_number_of_cells(direction: Direction) -> None:
    ones, x = torch.ones_like(masks((4, 6))), image(3, 2, 4, 6)
    moved = branch(direction, ones, (7, 11), softmax=False)(x, (4, 6)).features
    close(moved, x.mean((2, 3), keepdim=True).expand_as(x))


def test_cells_beyond_an_unseeing_mask_get_no_weight() -> None:
    x = image(3, 2, 4, 6)
    weights = branch("collect", masks((4, 6), (3, 5)), (3, 5))(x, (4, 6)).maps[0][0].attends_to(0, 0)
    assert torch.equal(weights.nonzero(), torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]))


def test_an_even_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        PointWiseBranch(4, 3, (8, 13), "collect")


def test_a_compact_mask_refuses_another_grid() -> None:
    with pytest.raises(ValueError, match="show the picture at the size of training"):
        branch("collect", image(3, 24, 4, 5), (4, 6), compact=True)(image(3, 2, 4, 5), (4, 5))
