"""The maps of any network, cell by cell, against whole matrices that plain loops form."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from network_map_cases import HEADS as SAMPLING_HEADS
from network_map_cases import LEVELS, deformable, sampling_objects
from torch import Tensor

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.head_map import HeadMap
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention, window_places

HEADS, DIM, GRID, KEY_GRID = 3, 4, (3, 4), (2, 2)


def rows_of(map_: HeadMap, head: int) -> Tensor:
    cells = range(map_.grid[0] * map_.grid[1])
    return torch.stack([map_.attends_to(*divmod(cell, map_.grid[1]), head=head).flatten() for cell in cells])


def columns_of(map_: HeadMap, head: int) -> Tensor:
    cells = range(map_.key_grid[0] * map_.key_grid[1])
    return torch.stack([map_.attended_by(*divmod(cell, map_.key_grid[1]), head=head).flatten() for cell in cells], 1)


def assert_matrix(map_: HeadMap, matrix: Tensor) -> None:
    """Rows, columns, shares and views of the heads are those of a (heads, tokens on cells, cells) matrix."""
    for head in range(map_.heads):
        torch.testing.assert_close(rows_of(map_, head), matrix[head])
        torch.testing.assert_close(columns_of(map_, head), matrix[head])
    row, column = 1, 2
    cell = row * map_.grid[1] + column
    torch.testing.assert_close(map_.attends_to(row, column).flatten(), matrix[:, cell].mean(0))
    torch.testing.assert_close(map_.attends_to(row, column, "largest").flatten(), matrix[:, cell].amax(0))


def offset_matrix(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """The bias of every pair of cells, by loops."""
    cells = [divmod(cell, grid[1]) for cell in range(grid[0] * grid[1])]
    pairs = [[table[:, s - r + grid[0] - 1, d - c + grid[1] - 1] for s, d in cells] for r, c in cells]
    return torch.stack([torch.stack(line, 1) for line in pairs], 1)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("key_grid", "prefix", "key_prefix"), [(GRID, 0, 0), (GRID, 2, 2), (KEY_GRID, 1, 0)])
def test_heads_are_those_of_the_matrix(key_grid: tuple[int, int], prefix: int, key_prefix: int, biased: bool) -> None:
    tokens, key_tokens = 12 + prefix, key_grid[0] * key_grid[1] + key_prefix
    queries, keys = torch.randn(HEADS, tokens, DIM), torch.randn(HEADS, key_tokens, DIM)
    bias = torch.randn(1, tokens, key_tokens) if biased else None
    table = torch.randn(HEADS, 5, 7) if biased and key_grid == GRID else None
    map_ = MultiHeadAttention("a", GRID, key_grid, queries, keys, 0.5, prefix, key_prefix, bias, table)
    logits = queries @ keys.mT * 0.5 + (0 if bias is None else bias)
    if table is not None:
        logits[:, prefix:, key_prefix:] += offset_matrix(table, GRID)
    weights = logits.softmax(2)
    assert_matrix(map_, weights[:, prefix:, key_prefix:])
    assert map_.prefix_share(1, 2, 1) == pytest.approx(float(weights[1, 6 + prefix, :key_prefix].sum()), abs=1e-6)
    if prefix:
        torch.testing.assert_close(map_.prefix_attends_to(prefix - 1, 2).flatten(), weights[2, prefix - 1, key_prefix:])


@pytest.mark.parametrize("roll_first", [False, True])
@pytest.mark.parametrize(("window", "shift"), [((2, 2), (0, 0)), ((2, 2), (1, 1)), ((2, 3), (1, 0))])
def test_windows_are_those_of_the_matrix(window: tuple[int, int], shift: tuple[int, int], roll_first: bool) -> None:
    places = window_places(GRID, window, shift, roll_first=roll_first)
    assert sorted(places[places >= 0].tolist()) == list(range(12))
    count, tokens = places.shape
    queries, keys = torch.randn(count, HEADS, tokens, DIM), torch.randn(count, HEADS, tokens, DIM)
    bias, mask = torch.randn(1, HEADS, tokens, tokens), torch.randn(count, 1, tokens, tokens)
    map_ = WindowedAttention("a", GRID, GRID, queries, keys, places, places, 0.5, bias, mask, window, shift)
    weights = (queries @ keys.mT * 0.5 + bias + mask).softmax(3)
    matrix, outside = torch.zeros(HEADS, 12, 12), torch.zeros(HEADS, 12)
    for number in range(count):
        for token, cell in enumerate(places[number].tolist()):
            for other, key in enumerate(places[number].tolist()):
                if cell >= 0 and key >= 0:
                    matrix[:, cell, key] = weights[number, :, token, other]
                elif cell >= 0:
                    outside[:, cell] += weights[number, :, token, other]
    assert_matrix(map_, matrix)
    assert map_.prefix_share(2, 3, 0) == pytest.approx(float(outside[0, 11]), abs=1e-6)


def test_a_window_s_cells_are_where_a_rolled_picture_has_them() -> None:
    cells = torch.arange(16.0).reshape(1, 1, 4, 4)
    rolled = F.unfold(cells.roll((-1, -1), (2, 3)), 2, stride=2)[0].T
    assert window_places((4, 4), (2, 2), (1, 1)).tolist() == rolled.tolist()


def test_linear_attention_is_that_of_the_matrix() -> None:
    queries, keys = torch.rand(HEADS, 12, DIM), torch.rand(HEADS, 4, DIM)
    queries[0, 3] = 0
    matrix = torch.zeros(HEADS, 12, 4)
    for head in range(HEADS):
        for p in range(12):
            total = sum(float(queries[head, p] @ keys[head, j]) for j in range(4)) + 1e-5
            matrix[head, p] = torch.tensor([float(queries[head, p] @ keys[head, j]) / total for j in range(4)])
    assert_matrix(LinearAttention("a", GRID, KEY_GRID, queries, keys, 1e-5), matrix)


def test_declared_weights_are_their_own_matrix() -> None:
    weights = torch.rand(HEADS, 13, 6).softmax(2)
    map_ = MatrixAttention("a", GRID, KEY_GRID, weights, prefix=1, key_prefix=2)
    assert_matrix(map_, weights[:, 1:, 2:])
    assert map_.prefix_share(0, 0, 1) == pytest.approx(float(weights[1, 1, :2].sum()))


def test_object_queries_are_those_of_the_matrix() -> None:
    queries, keys = torch.randn(HEADS, 5, DIM), torch.randn(HEADS, 13, DIM)
    bias = torch.zeros(1, 5, 13).masked_fill(torch.rand(1, 5, 13) < 0.3, -torch.inf)
    map_ = ObjectQueryAttention("a", GRID, queries, keys, 0.5, 1, bias)
    weights = (queries @ keys.mT * 0.5 + bias).softmax(2)
    for cell in range(12):
        torch.testing.assert_close(map_.attended_by(*divmod(cell, 4), head=1), weights[1, :, cell + 1])
    for query in range(5):
        torch.testing.assert_close(map_.query_map(query).flatten(), weights[:, query, 1:].mean(0))
        assert map_.prefix_share(query) == pytest.approx(float(weights[:, query, 0].mean()), abs=1e-6)


def test_object_queries_may_share_a_mask() -> None:
    queries, keys = torch.randn(HEADS, 5, DIM), torch.randn(HEADS, 13, DIM)
    mask = torch.zeros(1, 1, 13).masked_fill(torch.arange(13) % 3 == 0, -torch.inf)
    shared = ObjectQueryAttention("a", GRID, queries, keys, 0.5, 1, mask)
    whole = ObjectQueryAttention("a", GRID, queries, keys, 0.5, 1, mask.repeat(1, 5, 1))
    for query in range(5):
        torch.testing.assert_close(shared.query_map(query), whole.query_map(query))
    torch.testing.assert_close(shared.attended_by(2, 3), whole.attended_by(2, 3))


@pytest.mark.parametrize("kind", ["heads", "windows", "objects"])
def test_a_query_that_may_look_at_nothing_draws_nothing(kind: str) -> None:
    queries, keys, bias = torch.randn(HEADS, 12, DIM), torch.randn(HEADS, 12, DIM), torch.randn(1, 12, 12)
    bias[:, 5] = -torch.inf
    weights = F.scaled_dot_product_attention(queries, keys, torch.eye(12), bias, scale=0.5)
    assert not weights[:, 5].any() and not weights.isnan().any()  # as torch has it
    if kind == "objects":
        one = ObjectQueryAttention("a", GRID, queries, keys, 0.5, 0, bias)
        for cell in range(12):
            torch.testing.assert_close(one.attended_by(*divmod(cell, 4), head=1), weights[1, :, cell])
        assert not one.query_map(5).any() and one.prefix_share(5) == 0
        return
    places = torch.arange(12)[None]
    map_: HeadMap = (
        MultiHeadAttention("a", GRID, GRID, queries, keys, 0.5, bias=bias)
        if kind == "heads"
        else WindowedAttention("a", GRID, GRID, queries[None], keys[None], places, places, 0.5, bias[None])
    )
    assert_matrix(map_, weights)
    assert map_.prefix_share(1, 1) == 0


def sampled_matrix(one: DeformableAttention | DeformableQueries, level: int) -> Tensor:
    """What each query draws from each cell of one level: what torch's `grid_sample` reads of pictures of one cell."""
    rows, columns = LEVELS[level]
    pictures = torch.eye(rows * columns).reshape(1, -1, rows, columns).expand(SAMPLING_HEADS, -1, -1, -1)
    points = 2 * one.positions[:, :, level].flip(-1) - 1
    read = F.grid_sample(pictures, points, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (read * one.weights[:, None, :, level]).sum(3).mT


def finest_matrix(one: DeformableAttention | DeformableQueries) -> Tensor:
    """All levels on the finest one, by loops: a coarse cell's weight is shared by the cells whose centres it holds."""
    total = torch.zeros(SAMPLING_HEADS, one.weights.shape[1], 35)
    for level, (rows, columns) in enumerate(LEVELS):
        held = [
            [int((r + 0.5) / 5 * rows) * columns + int((c + 0.5) / 7 * columns) for c in range(7)] for r in range(5)
        ]
        holder = torch.tensor(held).flatten()
        total += (sampled_matrix(one, level) / holder.bincount(minlength=rows * columns))[:, :, holder]
    return total


@pytest.mark.parametrize("grid", [(5, 7), (3, 4)])
def test_deformable_attention_is_that_of_the_matrix(grid: tuple[int, int]) -> None:
    one = deformable(grid)
    matrix = finest_matrix(one)
    torch.testing.assert_close(torch.stack([one.head_rows(cell) for cell in range(matrix.shape[1])], 1), matrix)
    torch.testing.assert_close(torch.stack([one.head_columns(cell) for cell in range(35)], 2), matrix)
    torch.testing.assert_close(one.attends_to(2, 3, "largest").flatten(), matrix[:, 2 * grid[1] + 3].amax(0))
    inside = sum(sampled_matrix(one, level).sum(2) for level in range(3))
    assert (inside < 0.999).any() and one.prefix_share(0, 1, 2) == pytest.approx(1 - float(inside[2, 1]), abs=1e-6)
    for level, own in enumerate(LEVELS):
        expected = sampled_matrix(one, level)[:, 3].reshape(-1, *own)
        torch.testing.assert_close(one.level_map(0, 3, level, 1), expected[1])
        torch.testing.assert_close(one.level_map(0, 3, level), expected.mean(0))
        alone = one.by_level[level]
        assert alone.key_grid == own and alone is one.by_level[level]  # a page asks again, and the browser keeps it
        torch.testing.assert_close(alone.attends_to(0, 3, "largest"), expected.amax(0))
        columns = torch.stack([alone.head_columns(cell) for cell in range(own[0] * own[1])], 2)
        torch.testing.assert_close(columns, sampled_matrix(one, level))
    with pytest.raises(IndexError, match="level 3 does not exist: map 'deformable' has levels 0 to 2"):
        one.level_map(0, 0, 3)


def test_sampling_object_queries_are_those_of_the_matrix() -> None:
    one = sampling_objects()
    matrix = finest_matrix(one)
    for query in range(4):
        torch.testing.assert_close(one.query_map(query, 1).flatten(), matrix[1, query])
        assert one.prefix_share(query, 2) == pytest.approx(1 - float(matrix[2, query].sum()), abs=1e-6)
    torch.testing.assert_close(one.attended_by(4, 6), matrix[:, :, 34].mean(0))
    for level, alone in enumerate(one.by_level):
        torch.testing.assert_close(alone.query_map(2, 1).flatten(), sampled_matrix(one, level)[1, 2])


def test_the_points_of_a_view_of_the_heads_have_its_weights() -> None:
    one, other = deformable(), sampling_objects()
    positions, weights = one.points(1, 2, head=1)
    assert torch.equal(positions, one.positions[1, 9].reshape(-1, 2)) and torch.equal(
        weights, one.weights[1, 9].flatten()
    )
    assert float(one.points(1, 2)[1].sum()) == pytest.approx(1)
    assert float(other.points(3, "largest")[1].sum()) == pytest.approx(SAMPLING_HEADS)
    with pytest.raises(IndexError, match="head 3 does not exist"):
        one.points(1, 2, head=3)
    with pytest.raises(IndexError, match="object query 4 does not exist"):
        other.points(4)


def test_a_padded_picture_s_pixels_are_found() -> None:
    map_ = LinearAttention("a", (4, 4), (2, 2), torch.rand(1, 16, 2), torch.rand(1, 4, 2), covers=(2.0, 1.0))
    assert map_.cell(99, 99, 100, 100) == (1, 3)
    assert map_.key_cell(99, 99, 100, 100) == (0, 1)


def test_wrong_cells_and_heads_are_refused() -> None:
    map_ = LinearAttention("a", GRID, KEY_GRID, torch.rand(2, 12, 2), torch.rand(2, 4, 2))
    with pytest.raises(IndexError, match=r"head 2 does not exist: map 'a' has heads 0 to 1"):
        map_.attends_to(0, 0, head=2)
    with pytest.raises(IndexError, match="outside the 3 x 4 grid"):
        map_.attends_to(3, 0)
    with pytest.raises(IndexError, match="outside the 2 x 2 key grid"):
        map_.attended_by(2, 0)
