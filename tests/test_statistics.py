"""The numbers of attention maps, against maps whose answers are known."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from segviz.attention.cells import cell_centres, cell_classes, cell_means, cells_of_pixels, spread_places
from segviz.attention.maps import (
    AxisChannelAttention,
    DotProductAttention,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.attention.statistics import (
    Distance,
    entropy_bits,
    line_dependence,
    mean_statistics,
    normalised_entropy,
    own_class_share,
    query_dependence,
    summarise,
    weights_distance,
)
from segviz.catalogue.map_record import MapNumbers, MeasuredMap
from segviz.figures.same_pixel_table import MapRow, recorded_numbers, same_pixel_columns

GRID = (4, 6)
CELLS = 24
SIZE = (40, 120)  # cells of 10 x 20 pixels


def dense(logits: torch.Tensor, grid: tuple[int, int] = GRID) -> DotProductAttention:
    """The map whose logits from p to j are `logits[p, j]`."""
    return DotProductAttention("spatial", grid, logits, torch.eye(len(logits)))


def even() -> DotProductAttention:
    return dense(torch.zeros(CELLS, CELLS))


def delta(*targets: int) -> DotProductAttention:
    """Cell p looks at `targets[p % len(targets)]` alone."""
    logits = torch.full((CELLS, CELLS), -torch.inf)
    logits[torch.arange(CELLS), torch.tensor(targets).repeat(CELLS)[:CELLS]] = 0
    map_ = dense(torch.zeros(CELLS, CELLS))
    return DotProductAttention(map_.name, GRID, logits.clamp_min(-1e4), map_.keys)


def distance_from(map_: SpatialMap, row: int, column: int) -> Distance:
    return weights_distance(map_, map_.attends_to(row, column), (row, column), SIZE)


def random_map() -> DotProductAttention:
    return dense(torch.randn(CELLS, CELLS))


def psa(grid: tuple[int, int] = GRID, divisor: float | None = None) -> OffsetMaskAttention:
    cells = grid[0] * grid[1]
    return OffsetMaskAttention("collect", grid, torch.randn(cells, cells), "collect", divisor)


def samples(positions: list[list[float]]) -> SampledAttention:
    """Every cell has the same sampled places, of the same weight."""
    places = torch.tensor(positions, dtype=torch.float32).expand(CELLS, -1, -1)
    weights = torch.full(places.shape[:2], 1 / len(positions))
    return SampledAttention("samples", GRID, places, weights, torch.zeros(len(positions), 2))


def blocks(classes: list[list[int]], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Labels with one class a cell."""
    cells = np.array(classes, np.uint8)
    return np.kron(cells, np.ones((size[0] // cells.shape[0], size[1] // cells.shape[1]), np.uint8))


OTHER_KIND = """
import torch
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.statistics import entropy_bits, query_dependence, summarise

one = MultiHeadAttention("a", (2, 2), (2, 2), torch.zeros(1, 4, 3), torch.zeros(1, 4, 3))
for call in (lambda: summarise(one, 0, 0, None, (8, 8)), lambda: query_dependence(one, [(0, 0), (1, 1)])):
    try:
        call()
    except TypeError as error:
        print(error)
print(entropy_bits(one.attends_to(0, 0)))
"""


def test_maps_of_other_networks_are_refused_with_what_there_is_for_them() -> None:
    """In a process of its own, without the checks of types that tests add."""
    done = subprocess.run(
        [sys.executable, "-c", OTHER_KIND], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    *refused, entropy = done.stdout.splitlines()
    assert len(refused) == 2 and float(entropy) == 2
    assert all("a MultiHeadAttention has no such numbers" in one and "entropy_bits(" in one for one in refused)


def test_an_even_map_has_the_logarithm_of_its_cells_as_entropy() -> None:
    weights = even().attends_to(1, 2)
    assert entropy_bits(weights) == pytest.approx(math.log2(CELLS))
    assert normalised_entropy(weights) == pytest.approx(1)


def test_a_map_of_one_cell_has_no_entropy() -> None:
    weights = delta(7).attends_to(1, 2)
    assert entropy_bits(weights) == 0 == normalised_entropy(weights)


def test_eight_even_cells_have_three_bits() -> None:
    weights = torch.zeros(GRID)
    weights[:2, :4] = 1 / 8
    assert entropy_bits(weights) == pytest.approx(3)
    assert normalised_entropy(weights) == pytest.approx(3 / math.log2(CELLS))


def test_entropy_asks_for_shares_not_for_the_sum() -> None:
    weights = random_map().attends_to(0, 0)
    assert entropy_bits(0.3 * weights) == pytest.approx(entropy_bits(weights))


def test_the_normalised_entropy_of_a_single_cell_is_nan() -> None:
    assert math.isnan(normalised_entropy(torch.ones(1, 1)))


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_weights_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="need a map with a softmax"):
        entropy_bits(torch.tensor([0.5, value]))


def test_weights_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="choose another cell"):
        entropy_bits(torch.zeros(GRID))


def test_a_map_that_looks_at_its_own_cell_looks_no_distance() -> None:
    own = dense(torch.eye(CELLS) * 1e4)
    assert distance_from(own, 2, 3) == (0, 0)


def test_distance_counts_pixels_between_the_cells_centres() -> None:
    distance = distance_from(delta(0), 3, 2)  # from cell (3, 2) to (0, 0): 30 rows and 40 columns of pixels
    assert distance.pixels == pytest.approx(50)
    assert distance.share == pytest.approx(50 / math.hypot(*SIZE))


def test_distance_on_psas_grid_runs_from_corner_to_corner() -> None:
    logits = torch.full((CELLS, CELLS), -1e4)
    logits[:, 0] = 0
    map_ = OffsetMaskAttention("collect", GRID, logits, "collect", shrunk_from=(8, 12))  # cells of 5 x 10 pixels
    assert distance_from(map_, 3, 5).pixels == pytest.approx(math.hypot(40 - 5, 120 - 10))


@pytest.mark.parametrize("make", [random_map, psa])
@pytest.mark.parametrize("size", [SIZE, (41, 119), (64, 96)])
def test_a_cells_centre_lies_in_the_cell(make: type, size: tuple[int, int]) -> None:
    map_: SpatialMap = make()
    down, along = cell_centres(map_, size)
    for row, y in enumerate(down):
        for column, x in enumerate(along):
            assert map_.cell(round(float(y)), round(float(x)), *size) == (row, column)


def test_a_single_class_has_all_the_weight() -> None:
    assert own_class_share(random_map(), 1, 1, np.zeros(SIZE, np.uint8)) == (1, 1)


def test_the_own_class_share_is_the_weight_on_the_own_cells_class() -> None:
    labels = blocks([[0, 0, 0, 1, 1, 1]] * 2 + [[0, 0, 2, 2, 2, 2]] * 2)
    map_ = random_map()
    weights = map_.attends_to(3, 4).double()
    share = own_class_share(map_, 3, 4, labels)
    assert share.weight == pytest.approx(float(weights[2:, 2:].sum()), rel=1e-5)
    assert share.even == pytest.approx(8 / CELLS)


def test_the_even_share_is_over_what_the_place_can_choose_between() -> None:
    map_, labels = samples([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [3.0, 5.0]]), blocks([[0, 0, 1, 1, 1, 1]] * 4)
    reached = map_.even_rows(torch.tensor([0]))[0].reshape(GRID)
    assert int((reached > 0).sum()) == 4
    share = own_class_share(map_, 0, 0, labels)
    assert share.even == pytest.approx(float(reached[:, :2].sum())) == pytest.approx(3 / 4)
    assert summarise(map_, 0, 0, labels, SIZE).own_class_even == pytest.approx(3 / 4)


def test_an_even_map_gives_its_class_an_even_share() -> None:
    share = own_class_share(even(), 0, 0, blocks([[0, 0, 1, 1, 1, 1]] * 4))
    assert share.weight == pytest.approx(share.even) == pytest.approx(1 / 3)


def test_void_cells_count_neither_as_own_nor_as_other() -> None:
    share = own_class_share(even(), 0, 0, blocks([[0, 0, 1, 255, 255, 255]] * 4))
    assert share.weight == pytest.approx(2 / 3) == share.even


def test_a_void_cell_has_no_class_to_share() -> None:
    assert all(map(math.isnan, own_class_share(even(), 0, 5, blocks([[0, 0, 0, 0, 0, 255]] * 4))))


def test_weight_on_void_alone_has_no_class_to_share() -> None:
    assert all(map(math.isnan, own_class_share(delta(5), 0, 0, blocks([[0, 0, 0, 0, 0, 255]] * 4))))


def test_a_cell_belongs_to_the_class_of_most_of_its_pixels() -> None:
    labels = np.full(SIZE, 4, np.uint8)
    labels[:10, :11] = 2  # 110 of the first cell's 200 pixels
    labels[10:20, :10] = 3  # half of the next one's: of a draw the lower index
    labels[20:30, :9] = 1
    assert cell_classes(even(), labels)[:3, 0].tolist() == [2, 3, 4]


def test_a_picture_smaller_than_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="use a larger one"):
        cell_classes(even(), np.zeros((3, 100), np.uint8))


def test_rows_that_are_equal_do_not_depend_on_the_query() -> None:
    map_ = dense(torch.randn(1, CELLS).expand(CELLS, CELLS).contiguous())
    assert query_dependence(map_, spread_places(GRID, 12)) == pytest.approx(0, abs=1e-7)


def test_rows_without_a_common_cell_depend_on_the_query_alone() -> None:
    own = dense(torch.eye(CELLS) * 1e4)
    assert query_dependence(own, spread_places(GRID, 12)) == pytest.approx(1)


def test_query_dependence_is_the_mean_distance_over_pairs() -> None:
    map_ = delta(0, 0, 1)  # cells 0, 1 and 2 look at 0, 0 and 1: one pair of three agrees
    assert query_dependence(map_, [(0, 0), (0, 1), (0, 2)]) == pytest.approx(2 / 3)


def test_one_place_has_no_query_to_compare_with() -> None:
    with pytest.raises(ValueError, match="name at least two cells"):
        query_dependence(even(), [(0, 0)])


def test_sixty_four_places_of_a_large_grid_are_quick() -> None:
    factors = torch.randn(2, 45 * 60, 64)
    map_ = DotProductAttention("spatial", (45, 60), factors[0], factors[1])
    query_dependence(map_, [(0, 0), (1, 1)])
    start = time.thread_time()
    query_dependence(map_, spread_places((45, 60), 64))
    assert time.thread_time() - start < 0.5


def test_the_share_that_falls_outside_the_picture_is_told() -> None:
    found = summarise(samples([[0, 0], [0, 1], [-3, 0], [9, 9]]), 0, 0, None, SIZE)
    assert found.missing_share == pytest.approx(0.5)
    assert found.distance_pixels == pytest.approx(10)  # half of the weight inside lies one cell of 20 pixels away


def test_a_softmax_misses_nothing() -> None:
    assert summarise(random_map(), 0, 0, None, SIZE).missing_share == pytest.approx(0, abs=1e-6)


def test_a_summary_without_labels_leaves_the_class_open() -> None:
    found = summarise(random_map(), 0, 0, None, SIZE)
    assert math.isnan(found.own_class_share) and not math.isnan(found.distance_share)


def test_a_summary_holds_what_the_functions_give() -> None:
    map_, labels = random_map(), blocks([[0, 1, 0, 1, 0, 1]] * 4)
    found, weights = summarise(map_, 2, 1, labels, SIZE), map_.attends_to(2, 1)
    assert (found.entropy_bits, found.relative_entropy) == (entropy_bits(weights), normalised_entropy(weights))
    assert (found.distance_pixels, found.distance_share) == distance_from(map_, 2, 1)
    assert (found.own_class_share, found.own_class_even) == own_class_share(map_, 2, 1, labels)


def test_an_average_is_the_mean_of_the_places_that_have_the_number() -> None:
    map_, labels = random_map(), blocks([[0, 0, 0, 0, 0, 255]] * 4)
    places = [(0, 0), (2, 3), (1, 5)]  # the last one is void
    each = [asdict(summarise(map_, *place, labels, SIZE)) for place in places]
    found = asdict(mean_statistics(map_, places, labels, SIZE))
    assert found["entropy_bits"] == pytest.approx(np.mean([one["entropy_bits"] for one in each]))
    assert found["own_class_share"] == pytest.approx(np.mean([one["own_class_share"] for one in each[:2]]))


def test_an_average_over_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one cell"):
        mean_statistics(even(), [], None, SIZE)


@pytest.mark.parametrize("ask", [lambda map_: distance_from(map_, 4, 0), lambda map_: map_.attends_to(0, 6)])
def test_a_cell_outside_the_grid_is_refused(ask: type) -> None:
    with pytest.raises(IndexError, match="outside the 4 x 6 grid"):
        ask(even())


def test_psa_without_a_softmax_has_no_entropy_to_tell() -> None:
    with pytest.raises(ValueError, match="need a map with a softmax"):
        summarise(psa(divisor=24.0), 0, 0, None, SIZE)


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
def test_an_even_strip_map_is_even_over_all_cells(axis: str) -> None:
    strips = GRID[1] if axis == "vertical" else GRID[0]
    map_ = StripAttention("strip", GRID, torch.zeros(CELLS, 2), torch.zeros(strips, 2), axis)  # type: ignore[arg-type]
    assert summarise(map_, 0, 0, None, SIZE).relative_entropy == pytest.approx(1)


def test_even_weights_on_all_that_a_place_can_choose_have_all_the_entropy() -> None:
    """Also where it chooses between few: four samples, or the cells that a small mask covers."""
    four = samples([[0, 0], [0, 1], [1, 0], [1, 1]])
    cells = torch.arange(CELLS)
    near = torch.zeros(CELLS, CELLS).masked_fill((cells[:, None] - cells).abs() > 2, -math.inf)
    for map_ in (four, OffsetMaskAttention("collect", GRID, near, "collect")):
        assert summarise(map_, 0, 0, None, SIZE).relative_entropy == pytest.approx(1)


def test_both_entropies_are_of_what_a_place_chooses_between() -> None:
    """Strips and samples, of which some are outside; but who looks at a place is a choice of cells."""
    strip = StripAttention("strip", GRID, torch.ones(CELLS, 1), torch.arange(GRID[1])[:, None].float(), "vertical")
    sampled = samples([[0, 0], [0, 1], [-3, 0], [9, 9]])
    for map_, count, choices in ((strip, GRID[1], strip.strip_weights(0, 0)), (sampled, 4, torch.ones(4))):
        found = summarise(map_, 0, 0, None, SIZE)
        assert found.entropy_bits == pytest.approx(entropy_bits(choices))
        assert found.entropy_bits == pytest.approx(found.relative_entropy * math.log2(count))
        back = summarise(map_, 0, 0, None, SIZE, "attended_by")
        assert back.entropy_bits == pytest.approx(back.relative_entropy * math.log2(CELLS))


@pytest.mark.parametrize("make", [random_map, psa])
def test_pixels_go_to_the_cells_that_the_map_puts_them_in(make: type) -> None:
    map_: SpatialMap = make()
    rows, columns = cells_of_pixels(map_, SIZE)
    places = [(0, 0), (17, 59), (39, 119), (10, 20)]
    assert [(rows[y], columns[x]) for y, x in places] == [map_.cell(y, x, *SIZE) for y, x in places]


def test_cell_means_average_each_cells_pixels() -> None:
    values = np.random.default_rng(0).normal(size=SIZE)
    expected = values.reshape(4, 10, 6, 20).mean((1, 3))
    np.testing.assert_allclose(cell_means(even(), values), expected)


@pytest.mark.parametrize(("grid", "count"), [((45, 60), 64), ((4, 6), 500), ((1, 9), 3), ((23, 30), 1)])
def test_spread_places_are_different_cells_of_about_the_number_asked_for(grid: tuple[int, int], count: int) -> None:
    places = spread_places(grid, count)
    assert len(set(places)) == len(places)
    assert all(0 <= row < grid[0] and 0 <= column < grid[1] for row, column in places)
    wanted = min(count, grid[0] * grid[1])
    assert wanted / 2 <= len(places) <= 2 * wanted


def test_no_place_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="ask for at least 1"):
        spread_places(GRID, 0)


def test_who_looks_at_a_place_is_told_of_the_matrix_column() -> None:
    map_, labels = random_map(), np.arange(40 * 120, dtype=np.uint8).reshape(SIZE) // 60 % 3
    turned = dense(torch.stack([map_.attended_by(*divmod(cell, GRID[1])).flatten().log() for cell in range(CELLS)]))
    one, other = summarise(map_, 2, 3, labels, SIZE, "attended_by"), summarise(turned, 2, 3, labels, SIZE)
    assert math.isnan(one.missing_share)
    for name, value in asdict(one).items():
        if name != "missing_share":
            assert value == pytest.approx(asdict(other)[name], rel=1e-4), name
    places = [(0, 0), (1, 4), (3, 5)]
    assert query_dependence(map_, places, "attended_by") == pytest.approx(query_dependence(turned, places), rel=1e-4)
    assert query_dependence(map_, places, "attended_by") != pytest.approx(query_dependence(map_, places), rel=1e-2)


def test_the_matrices_of_lines_lie_apart_by_their_mean_variation() -> None:
    map_ = AxisChannelAttention("rows", GRID, torch.randn(5, *GRID), torch.randn(5, GRID[1]), "rows")
    matrices = [map_.matrix(line).double() for line in range(4)]
    apart = [float((one - other).abs().sum(1).mean() / 2) for one, other in itertools.combinations(matrices, 2)]
    assert line_dependence(map_, range(4)) == pytest.approx(sum(apart) / 6, rel=1e-6)
    same = AxisChannelAttention("rows", GRID, torch.ones(5, *GRID), torch.randn(5, GRID[1]), "rows")
    assert line_dependence(same, range(4)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="no pair"):
        line_dependence(map_, [1])


def test_every_distance_stands_beside_an_even_maps() -> None:
    far = summarise(delta(CELLS - 1), 0, 0, None, SIZE)  # the upper left cell looks at the lower right one
    assert far.distance_even == pytest.approx(summarise(even(), 0, 0, None, SIZE).distance_share)
    assert far.distance_share > far.distance_even
    middle = summarise(delta(CELLS - 1), 2, 3, None, SIZE)
    assert middle.distance_even < far.distance_even


def test_a_records_means_become_a_row_of_the_table() -> None:
    known = MapNumbers(
        entropy=0.5, distance=0.2, own_class_weight=0.4, own_class_even=0.1, at_itself=None, dependence=0.7
    )
    measured = MeasuredMap(GRID, known, MapNumbers(distance=0.36), MapNumbers())
    row = same_pixel_columns([MapRow("val", "Dense", None, recorded_numbers(even(), measured), 0.7)])
    assert row["Distance (%)"] == [pytest.approx(20)]
    assert row["Even distance (%)"] == [pytest.approx(36)]
    assert row["Entropy (% of even)"] == [pytest.approx(50)]
    assert row["Entropy (bits)"] == [pytest.approx(0.5 * math.log2(CELLS))]
    assert row["Distance (px)"] == [None]


def test_a_records_entropy_is_in_bits_where_all_places_have_equally_many_choices() -> None:
    numbers = MapNumbers(entropy=0.5)
    measured, elsewhere = (MeasuredMap(grid, numbers, numbers, numbers) for grid in (GRID, (8, 12)))
    strip = StripAttention("strip", GRID, torch.ones(CELLS, 1), torch.ones(GRID[1], 1), "vertical")
    sampled = samples([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert recorded_numbers(sampled, measured).entropy_bits == pytest.approx(1)
    assert recorded_numbers(strip, measured).entropy_bits == pytest.approx(math.log2(GRID[1]) / 2)
    assert math.isnan(recorded_numbers(strip, elsewhere).entropy_bits)
