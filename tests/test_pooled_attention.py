"""Attention by way of pooled tokens: each token's weight is spread over the cells that it pools."""

from __future__ import annotations

import pytest
import torch

from segviz.attention.maps import PooledAttention
from segviz.attention.statistics import even_weights, summarise

GRID = (3, 4)
CELLS, TOKENS = 12, 5
torch.manual_seed(0)
MAP = PooledAttention(
    "regions", GRID, torch.randn(CELLS, TOKENS).softmax(1), torch.randn(CELLS, TOKENS).softmax(0), "regions"
)


def slow_matrix() -> torch.Tensor:
    matrix = torch.zeros(CELLS, CELLS)
    for p in range(CELLS):
        for j in range(CELLS):
            matrix[p, j] = sum(float(MAP.weights[p, k] * MAP.pools[j, k]) for k in range(TOKENS))
    return matrix


def test_rows_and_columns_are_those_of_the_slow_matrix() -> None:
    matrix = slow_matrix()
    torch.testing.assert_close(MAP.rows(torch.arange(CELLS)), matrix)
    for cell in range(CELLS):
        place = divmod(cell, GRID[1])
        torch.testing.assert_close(MAP.attends_to(*place).flatten(), matrix[cell])
        torch.testing.assert_close(MAP.attended_by(*place).flatten(), matrix[:, cell])
    torch.testing.assert_close(matrix.sum(1), torch.ones(CELLS))


def test_a_token_is_a_mean_of_its_cells() -> None:
    assert torch.equal(MAP.token_map(2).flatten(), MAP.pools[:, 2])
    assert torch.equal(MAP.token_weights(1, 2), MAP.weights[6])
    with pytest.raises(IndexError, match="token 5 does not exist: map 'regions' has regions 0 to 4"):
        MAP.token_map(5)
    with pytest.raises(IndexError, match="outside the 3 x 4 grid"):
        MAP.token_weights(3, 0)


def test_an_even_choice_weighs_all_tokens_alike() -> None:
    even = PooledAttention("regions", GRID, torch.full((CELLS, TOKENS), 1 / TOKENS), MAP.pools)
    torch.testing.assert_close(even_weights(MAP, (1, 1), "attends_to"), even.attends_to(1, 1))
    found = summarise(even, 1, 1, None, (30, 40))
    assert found.distance_share == pytest.approx(found.distance_even) and found.missing_share < 1e-6


def test_it_says_what_its_tokens_are() -> None:
    assert MAP.remark == "5 regions" and repr(MAP) == "PooledAttention('regions', 3 x 4 cells)"
