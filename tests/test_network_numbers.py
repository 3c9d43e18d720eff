"""The numbers of a network's map at one place: those of the bundled kinds, and of what its point chooses between."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from network_map_cases import deformable

from segviz.attention.dot_product import DotProductAttention
from segviz.attention.linear import LinearAttention
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.network_numbers import network_statistics
from segviz.attention.region import Region
from segviz.attention.statistics import entropy_bits, summarise
from segviz.attention.windowed import WindowedAttention, window_places
from segviz.figures.same_pixel_table import panel_numbers
from segviz.viewer.panel import Panel

GRID, SIZE = (4, 6), (40, 120)
CELLS = GRID[0] * GRID[1]
EVEN = MultiHeadAttention("even", GRID, GRID, torch.zeros(2, CELLS, 3), torch.zeros(2, CELLS, 3), 1.0, 0, 0, None, None)


@pytest.mark.parametrize("direction", ["attends_to", "attended_by"])
def test_one_dense_head_has_the_numbers_of_dot_products(direction: str) -> None:
    queries, keys = torch.randn(2, CELLS, 3), torch.randn(2, CELLS, 3)
    heads = MultiHeadAttention("a", GRID, GRID, queries, keys, 1.0, 0, 0, None, None)
    found = network_statistics(heads, (15, 70), SIZE, direction, 1)  # type: ignore[arg-type]
    same = DotProductAttention("a", GRID, queries[1], keys[1])
    expected = summarise(same, *same.cell(15, 70, *SIZE), None, SIZE, direction)  # type: ignore[arg-type]
    for field in ("entropy_bits", "relative_entropy", "distance_pixels", "distance_share", "distance_even"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=1e-4)
    assert math.isnan(found.own_class_share)


def test_keys_on_a_coarser_grid_lie_at_their_own_centres() -> None:
    keys = torch.zeros(1, 6, 1)
    keys[0, 5] = 60  # the lower right of 2 x 3 key cells has all the weight
    coarse = MultiHeadAttention("a", GRID, (2, 3), torch.ones(1, CELLS, 1), keys, 1.0, 0, 0, None, None)
    found = network_statistics(coarse, (0, 0), SIZE)
    assert found.distance_pixels == pytest.approx(math.hypot(30 - 5, 100 - 10))
    assert found.entropy_bits == pytest.approx(0, abs=1e-6)


def test_a_point_in_a_window_chooses_between_its_cells() -> None:
    places = window_places(GRID, (2, 2))
    factors = torch.zeros(len(places), 1, 4, 3)
    found = network_statistics(WindowedAttention("w", GRID, GRID, factors, factors, places, places), (0, 0), SIZE)
    assert found.entropy_bits == pytest.approx(2) and found.relative_entropy == pytest.approx(1)
    assert found.distance_even == pytest.approx(found.distance_share)


def test_a_point_with_samples_chooses_between_them() -> None:
    one = deformable()
    size = (8 * one.grid[0], 8 * one.grid[1])
    found = network_statistics(one, (9, 9), size)
    weights = one.points(1, 1)[1]
    assert found.entropy_bits == pytest.approx(entropy_bits(weights))
    assert found.relative_entropy == pytest.approx(found.entropy_bits / math.log2(len(weights)))
    assert math.isnan(found.distance_even)


def test_a_panel_over_a_crop_counts_in_the_pictures_pixels() -> None:
    whole = Panel("whole", EVEN, "either")
    crop = replace(whole, region=Region(10, 20, *SIZE))
    large = (2 * SIZE[0], 2 * SIZE[1])
    one = panel_numbers(whole, (5, 5), SIZE, None, "attends_to")
    other = panel_numbers(crop, (15, 25), large, None, "attends_to")
    assert one is not None and other is not None
    assert other.distance_pixels == pytest.approx(one.distance_pixels)
    assert other.distance_share == pytest.approx(one.distance_share / 2)
    assert panel_numbers(crop, (5, 5), large, None, "attends_to") is None  # outside the crop
    assert panel_numbers(Panel("none", None, "plain"), (5, 5), SIZE, None, "attends_to") is None


def test_weights_of_both_signs_have_no_numbers() -> None:
    torch.manual_seed(0)
    factors = torch.randn(1, CELLS, 3)
    signed = LinearAttention("linear", GRID, GRID, factors, factors.flip(1))
    assert bool((signed.attends_to(0, 0) < 0).any())
    assert panel_numbers(Panel("linear", signed, "attends_to"), (5, 5), SIZE, None, "attends_to") is None
