"""Every map, cell by cell, against the whole attention matrix that the slow loops formed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from segviz.attention import maps as attention
from segviz.attention.maps import Attended, CrissCrossAttention, OffsetMaskAttention, SpatialMap, StripAttention, detach
from segviz.viewer.panels_of_maps import panels_of_map
from tests.block_cases import CASES, SHAPES, C, image, made
from tests.reference import Expected, expected

SPATIAL_CASES = [
    case
    for case in CASES
    if not case.startswith(("channel,", "FLA", "PSA, no softmax")) or case.endswith("then spatial")
]
STRIPS = [case for case in CASES if case.startswith("SAM")]
SPARSE = [case for case in CASES if case.startswith("SNL")]
CRISS_CROSS = [case for case in CASES if case.startswith("criss-cross")]
POINT_WISE = [case for case in CASES if case.startswith("PSA")]
CHANNEL = [case for case in CASES if case.startswith(("channel", "dual"))]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
Case = tuple[Attended, list[Expected]]


def ran(case: str, *shape: int) -> Case:
    """What a block gave for a batch, and what the loops give for each of its images."""
    block, x = made(case), image(*(shape or (3, C, 4, 3)))
    with torch.no_grad():
        return block(x), [expected(block, one) for one in x]


def assert_close(found: Tensor, wanted: object) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=found.dtype), rtol=1e-9, atol=1e-9)


def rows_of(map_: SpatialMap) -> Tensor:
    """The matrix as the map tells it row by row."""
    cells = range(map_.grid[0] * map_.grid[1])
    return torch.stack([map_.attends_to(*divmod(cell, map_.grid[1])).flatten() for cell in cells])


def columns_of(map_: SpatialMap) -> Tensor:
    """The matrix as the map tells it column by column."""
    cells = range(map_.grid[0] * map_.grid[1])
    return torch.stack([map_.attended_by(*divmod(cell, map_.grid[1])).flatten() for cell in cells], 1)


def spatial_maps(attended: Attended, number: int) -> list[SpatialMap]:
    return [one for one in attended.maps[number] if isinstance(one, SpatialMap)]


@pytest.mark.parametrize("tells", [rows_of, columns_of])
@pytest.mark.parametrize("case", SPATIAL_CASES)
@every_shape
def test_rows_and_columns_are_those_of_the_matrix(
    case: str, shape: tuple[int, ...], tells: Callable[[SpatialMap], Tensor]
) -> None:
    attended, loops = ran(case, *shape)
    for number, one in enumerate(loops):
        for map_ in spatial_maps(attended, number):
            assert_close(tells(map_), one.matrices[map_.name])


VALUES = {
    "spatial": lambda block, x: block.value(x),
    "criss-cross once": lambda block, x: block.value(x),
    "SAM": lambda block, x: block.value(x),
    "SAM, horizontal": lambda block, x: block.value(x),
    "SNL 3x3": lambda block, x: block.value(x),
    "SNL 3x3, border": lambda block, x: block.value(x),
    "SNL 9x11, mask": lambda block, x: block.value(x),
}


@pytest.mark.parametrize("case", VALUES)
def test_the_map_applied_to_the_values_is_the_context(case: str) -> None:
    block, x = made(case), image(3, C, 4, 6)
    with torch.no_grad():
        attended, values = block(x), VALUES[case](block, x)
    for number in range(3):
        drawn = rows_of(attended.maps[number][0]) @ values[number].flatten(1).T
        assert_close(drawn, attended.context[number].flatten(1).T)


@pytest.mark.parametrize("direction", ["collect", "distribute"])
def test_the_psa_map_applied_to_the_reduced_features_is_the_context(direction: str) -> None:
    branch, x = made("PSA").branches[direction], image(3, C, 4, 6)
    with torch.no_grad():
        attended, values = branch(x, (4, 6)), branch.reduce(x)
    assert_close(rows_of(attended.maps[1][0]) @ values[1].flatten(1).T, attended.context[1].flatten(1).T)


def test_the_ema_factors_give_the_context() -> None:
    attended, _ = ran("EMA")
    factors = attended.maps[2][0]
    assert_close((factors.responsibilities @ factors.bases).relu().T, attended.context[2].flatten(1))


def test_base_maps_are_the_responsibilities() -> None:
    attended, loops = ran("EMA")
    for k in range(3):
        assert_close(attended.maps[1][0].base_map(k).flatten(), loops[1].matrices["z"][:, k])


@pytest.mark.parametrize("case", STRIPS)
@every_shape
def test_strip_maps_are_the_columns_of_the_strip_matrix(case: str, shape: tuple[int, ...]) -> None:
    attended, loops = ran(case, *shape)
    for (map_,), one in zip(attended.maps, loops, strict=True):
        for j in range(one.matrices["strips"].shape[1]):
            assert_close(map_.strip_map(j).flatten(), one.matrices["strips"][:, j])


@pytest.mark.parametrize("case", STRIPS)
def test_strip_weights_is_a_row_of_the_strip_matrix(case: str) -> None:
    attended, loops = ran(case)
    for (map_,), one in zip(attended.maps, loops, strict=True):
        assert_close(map_.strip_weights(2, 1), one.matrices["strips"][2 * 3 + 1])


@pytest.mark.parametrize(("case", "strips"), [("SAM", 3), ("SAM, horizontal", 4)])
def test_all_strip_maps_add_up_to_ones(case: str, strips: int) -> None:
    map_ = ran(case)[0].maps[0][0]
    assert_close(sum(map_.strip_map(j) for j in range(strips)), torch.ones(4, 3))


@pytest.mark.parametrize("case", CRISS_CROSS)
@every_shape
def test_each_pass_is_a_softmax_over_the_cross(case: str, shape: tuple[int, ...]) -> None:
    attended, loops = ran(case, *shape)
    for (map_,), one in zip(attended.maps, loops, strict=True):
        for number in range(len(map_.queries)):
            for cell in range(shape[2] * shape[3]):
                row = map_.pass_attends_to(number, *divmod(cell, shape[3]))
                assert_close(row.flatten(), one.matrices[f"cross {number}"][cell])


@pytest.mark.parametrize("case", SPARSE)
def test_samples_are_the_displaced_points_and_their_weights(case: str) -> None:
    attended, loops = ran(case)
    for (map_,), one in zip(attended.maps, loops, strict=True):
        for cell in range(12):
            positions, weights = map_.samples(*divmod(cell, 3))
            assert_close(positions, one.matrices["positions"][cell])
            assert_close(weights, one.matrices["weights"][cell])


def test_undisplaced_samples_are_the_window_around_the_cell() -> None:
    wanted = [(row, column) for row in (1, 2, 3) for column in (0, 1, 2)]
    assert_close(ran("SNL 3x3")[0].maps[0][0].window_around(2, 1), wanted)


@pytest.mark.parametrize("case", POINT_WISE)
@every_shape
def test_psa_logits_are_the_mask_that_the_cell_predicted(case: str, shape: tuple[int, ...]) -> None:
    attended, loops = ran(case, *shape)
    for maps, one in zip(attended.maps, loops, strict=True):
        for map_ in maps:
            energy = torch.tensor(one.matrices[f"{map_.name} logits"])
            own = energy if map_.direction == "collect" else energy.T
            for cell in range(len(own)):
                assert_close(map_.logits(*divmod(cell, map_.grid[1])).flatten(), own[cell])


@pytest.mark.parametrize("case", CHANNEL)
@every_shape
def test_channel_matrix_is_the_softmax_of_the_energies(case: str, shape: tuple[int, ...]) -> None:
    attended, loops = ran(case, *shape)
    for maps, one in zip(attended.maps, loops, strict=True):
        assert_close(maps[-1].matrix, one.matrices["channel"])


@pytest.mark.parametrize("path", [0, 1])
@every_shape
def test_fla_has_a_channel_matrix_for_every_line(path: int, shape: tuple[int, ...]) -> None:
    attended, loops = ran("FLA", *shape)
    for maps, one in zip(attended.maps, loops, strict=True):
        for line, wanted in enumerate(one.matrices[maps[path].name]):
            assert_close(maps[path].matrix(line), wanted)


@pytest.mark.parametrize("case", SPATIAL_CASES)
@pytest.mark.parametrize("cell", [(4, 0), (0, 3), (-1, 0), (0, -1)])
@pytest.mark.parametrize("question", ["attends_to", "attended_by"])
def test_a_cell_outside_the_grid_is_named(case: str, cell: tuple[int, int], question: str) -> None:
    for map_ in spatial_maps(made(case)(image(1, C, 4, 3)), 0):
        outside = cell if map_.grid == (4, 3) else (9, 9)
        with pytest.raises(IndexError, match=r"is outside the \d x \d grid of map"):
            getattr(map_, question)(*outside)


@pytest.mark.parametrize(
    ("case", "question", "number"),
    [
        ("SAM", "strip_map", 3),
        ("SAM", "strip_map", -1),
        ("FLA", "matrix", 4),
        ("FLA", "matrix", -1),
        ("EMA", "base_map", 3),
        ("EMA", "base_map", -1),
    ],
)
def test_a_strip_line_or_base_that_does_not_exist_is_named(case: str, question: str, number: int) -> None:
    with pytest.raises(IndexError, match="does not exist: map"):
        getattr(ran(case)[0].maps[0][0], question)(number)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_pass_that_does_not_exist_is_named(number: int) -> None:
    with pytest.raises(IndexError, match="has passes 0 to 1"):
        ran("criss-cross twice")[0].maps[0][0].pass_attends_to(number, 0, 0)


def test_one_pass_is_singular_and_has_no_earlier_ones() -> None:
    twice = ran("criss-cross twice")[0].maps[0][0]
    assert isinstance(twice, CrissCrossAttention)
    assert twice.remark == "2 passes"
    assert twice.last_pass.remark == "1 pass"
    assert [panel.title for panel in panels_of_map(twice.last_pass)] == ["Attends to", "Attended by"]


@pytest.mark.parametrize("case", ["SAM", "PSA", "FLA"])
@pytest.mark.parametrize("pixel", [(-1, 0), (0, -1), (64, 0), (0, 48)])
def test_a_pixel_outside_the_picture_is_named(case: str, pixel: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside the picture of 48 x 64 pixels"):
        ran(case)[0].maps[0][0].cell(*pixel, 64, 48)


def test_a_pixel_belongs_to_the_cell_that_covers_its_centre() -> None:
    map_ = StripAttention("strip", (4, 3), torch.zeros(12, 1), torch.zeros(3, 1), "vertical")
    for y in range(50):
        for x in range(31):
            row, column = map_.cell(y, x, 50, 31)
            assert row * 50 / 4 <= y + 0.5 < (row + 1) * 50 / 4
            assert column * 31 / 3 <= x + 0.5 < (column + 1) * 31 / 3


@pytest.mark.parametrize("features", [(4, 3), (7, 5), (8, 6)], ids=str)
def test_psa_cells_are_nearest_on_the_grid_that_they_were_drawn_from(features: tuple[int, int]) -> None:
    map_ = OffsetMaskAttention("collect", (4, 3), torch.zeros(12, 12), "collect", None, features)
    for y in range(50):
        for x in range(31):
            row, column = map_.cell(y, x, 50, 31)
            for at, cell, pixels, cells, count in ((y, row, 50, 4, features[0]), (x, column, 31, 3, features[1])):
                pitch = pixels / count  # of a cell of the features; the corner cells' centres are half of it inside
                centre = pitch / 2 + cell * (count - 1) / (cells - 1) * pitch
                assert abs(at + 0.5 - centre) <= pitch * (count - 1) / (cells - 1) / 2 + 1e-9


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 3)])
@pytest.mark.parametrize("times", [1, 2])
def test_psa_corners_hold_the_corners_of_the_picture(rows: int, columns: int, times: int) -> None:
    masks = torch.zeros(rows * columns, rows * columns)
    map_ = OffsetMaskAttention("collect", (rows, columns), masks, "collect", None, (rows * times, columns * times))
    assert map_.cell(0, 0, 50, 31) == (0, 0)
    assert map_.cell(49, 30, 50, 31) == (rows - 1, columns - 1)


@pytest.mark.parametrize("case", CASES)
def test_a_detached_map_is_float32_and_free_of_the_network(case: str) -> None:
    maps = made(case)(image(1, C, 4, 3)).maps[0]
    for map_, free in zip(maps, detach(maps), strict=True):
        assert type(free) is type(map_)
        for field in dataclasses.fields(free):
            value = getattr(free, field.name)
            if isinstance(value, Tensor):
                assert value.dtype == torch.float32
                assert not value.requires_grad


@pytest.mark.parametrize("case", SPATIAL_CASES)
def test_a_detached_map_still_tells_the_same(case: str) -> None:
    maps = spatial_maps(ran(case)[0], 0)
    for map_, free in zip(maps, detach(maps), strict=True):
        torch.testing.assert_close(rows_of(free), rows_of(map_).float(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(columns_of(free), columns_of(map_).float(), rtol=1e-4, atol=1e-5)


def test_what_maps_have_in_common_is_kept_once() -> None:
    rows, columns = detach(made("FLA")(image(1, C, 4, 3)).maps[0])
    assert rows.features is columns.features
    assert rows.context is not columns.context


def test_a_normaliser_taken_in_parts_is_that_of_the_whole() -> None:
    queries, keys = torch.randn(1100, 3), torch.randn(40, 3)
    torch.testing.assert_close(attention.log_normaliser(queries, keys), (queries @ keys.T).logsumexp(1))
