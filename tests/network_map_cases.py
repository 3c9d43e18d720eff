"""Small maps of every kind that a network can have: heads, two grids, prefix tokens, windows, object queries."""

from __future__ import annotations

import torch

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.maps import NetworkMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention, window_places

GRID, CELLS = (5, 7), 35  # as in viewer_host
HEADS, DIM = 3, 6
KEY_GRID, KEYS = (2, 4), 8  # a coarser grid


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def heads(prefix: int = 0, keys: int = CELLS, **more: object) -> MultiHeadAttention:
    queries, others = random(HEADS, CELLS + prefix, DIM), random(HEADS, keys + prefix, DIM) + 0.3
    key_grid = GRID if keys == CELLS else KEY_GRID
    return MultiHeadAttention("heads", GRID, key_grid, queries, others, 0.7, prefix, prefix, **more)  # type: ignore[arg-type]


def forbid(bias: torch.Tensor, query: int) -> torch.Tensor:
    """The bias, with which one query may look at nothing."""
    bias[..., query, :] = -torch.inf
    return bias


def windows(*, shifted: bool, masked: bool, forbidden: bool = False) -> WindowedAttention:
    """Windows of 3 x 4 cells; with a shift, their places are mixed, and cells beyond the grid are padding."""
    shift = (1, 2) if shifted else (0, 0)
    places = window_places(GRID, (3, 4), shift)
    count, tokens = places.shape
    queries, keys = random(count, HEADS, tokens, DIM), random(count, HEADS, tokens, DIM + 1)[..., :DIM]
    bias = random(1, HEADS, tokens, tokens)
    mask = torch.zeros(count, 1, tokens, tokens).masked_fill(random(count, 1, tokens, tokens) > 1, -torch.inf)
    mask[..., 0] = 0
    if forbidden:
        forbid(mask, 1)
    return WindowedAttention(
        "windows", GRID, GRID, queries, keys, places, places, 0.7, bias, mask if masked else None, (3, 4), shift
    )


def objects(
    prefix: int = 0, *, masked: bool = False, shared: bool = False, forbidden: bool = False
) -> ObjectQueryAttention:
    count = 1 if shared else 4
    bias = torch.zeros(1, count, CELLS + prefix).masked_fill(random(1, count, CELLS + prefix) > 1, -torch.inf)
    if forbidden:
        forbid(bias, 2)
    queries, keys = random(HEADS, 4, DIM), random(HEADS, CELLS + prefix, DIM)
    return ObjectQueryAttention("objects", GRID, queries, keys, 0.7, prefix, bias if masked else None)


LEVELS = ((2, 4), (5, 7), (3, 4))  # of which the second is the finest


def deformable(grid: tuple[int, int] = GRID, **more: object) -> DeformableAttention:
    """Points of which some lie outside the picture."""
    count = grid[0] * grid[1]
    positions, weights = random(HEADS, count, 3, 2, 2) / 3 + 0.5, random(HEADS, count, 6).softmax(2)
    weights = weights.unflatten(2, (3, 2))
    return DeformableAttention("deformable", grid, GRID, positions, weights, LEVELS, **more)  # type: ignore[arg-type]


def sampling_objects() -> DeformableQueries:
    one = deformable((2, 2))
    return DeformableQueries("sampling", GRID, one.positions, one.weights, LEVELS, covers=(1.1, 1.0))


def few_points() -> DeformableQueries:
    """Two object queries, of which each samples one place of the upper left."""
    positions = torch.tensor([0.4, 0.3, 0.1, 0.1]).reshape(1, 2, 1, 1, 2)
    return DeformableQueries("few", GRID, positions, torch.ones(1, 2, 1, 1), (GRID,))


NETWORK_MAPS: dict[str, NetworkMap] = {
    "heads": heads(),
    "tokens": heads(2, bias=random(1, CELLS + 2, CELLS + 2)),
    "key bias": heads(1, bias=random(HEADS, 1, CELLS + 1)),
    "coarse keys": heads(keys=KEYS, bias=random(HEADS, CELLS, KEYS)),
    "offsets": heads(1, offset_bias=random(HEADS, 2 * GRID[0] - 1, 2 * GRID[1] - 1)),
    "a cell that may look at nothing": heads(1, bias=forbid(random(1, CELLS + 1, CELLS + 1), 18)),
    "one head": MultiHeadAttention("one", GRID, GRID, random(1, CELLS, 5), random(1, CELLS, 5)),
    "covers": LinearAttention("padded", GRID, KEY_GRID, random(2, CELLS, 4), random(2, KEYS, 4), covers=(1.3, 1.1)),
    "windows": windows(shifted=False, masked=False),
    "shifted windows": windows(shifted=True, masked=True),
    "windows with a cell that may look at nothing": windows(shifted=True, masked=True, forbidden=True),
    "linear": LinearAttention("linear", GRID, KEY_GRID, random(3, CELLS, 5).relu(), random(3, KEYS, 5).relu(), 1e-5),
    "declared": MatrixAttention("declared", GRID, KEY_GRID, random(HEADS, CELLS + 1, KEYS + 2).softmax(2), 1, 2),
    "deformable": deformable(),
    "finest level": deformable().by_level[0],
    "coarse level": deformable((3, 4), covers=(1.0, 1.2)).by_level[1],
    "coarse queries": deformable((3, 4), covers=(1.0, 1.2)),
    "steep": MultiHeadAttention("steep", GRID, GRID, 40 * random(2, CELLS, 5), random(2, CELLS, 5)),
}
OBJECT_MAPS = {
    "objects": objects(),
    "masked objects": objects(2, masked=True),
    "objects with one mask for all": objects(2, masked=True, shared=True),
    "an object that may look at nothing": objects(1, masked=True, forbidden=True),
    "sampling objects": sampling_objects(),
    "sampled level": sampling_objects().by_level[1],
    "few points": few_points(),
}
