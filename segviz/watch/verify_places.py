"""Whether the cells of a map lie where the picture says: a change of the picture must change the cells at its place."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import assert_never

import torch
from torch import Tensor

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.grid_map import Grid, cell_of_pixel
from segviz.attention.head_map import Cover, covered_size
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.maps import NetworkMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention
from segviz.attention.windowed import WindowedAttention
from segviz.image import Rgb
from segviz.watch.findings import Findings, FoundLayer
from segviz.watch.probe_places import HALF_RANGE

SPOTS = ((0.2, 0.3), (0.3, 0.85), (0.6, 0.1), (0.8, 0.6))  # (y, x), unlike any of their mirror images
SPOT_SIDE = 1 / 16  # of the picture's sides
NEAR_PART = 12  # cells within the grid's larger side over this, or the next ones, are near a spot
AGREES, DISAGREES = 0.7, 0.35  # the change near the spots over that of the cells that changed most, as many of them
CONCENTRATED = 0.6  # the least share of the whole change in those, for a verdict against a map
LEAST_CONTRAST = 2  # how much more than other cells they must have changed, for any verdict


class Verdict(StrEnum):
    """What the check says of a map."""

    HOLDS = "places verified: changes at four places of the picture changed the cells there"
    DIFFERS = (
        "changes at four places of the picture changed cells elsewhere, so its tokens are not the cells row by row: "
        "declare it with segviz.record, with queries and keys in the order of the cells"
    )
    UNDECIDED = "places not verified: changes at four places of the picture changed cells everywhere, or hardly any"
    SAMPLED = ""  # its places are sampled points that the network itself gives


Features = tuple[Tensor, Grid]  # (cells, dim) of a grid


def compare_places(found: Findings, changed: Findings) -> None:
    """Note in the table whether the cells of each kept map lie at their places, and drop the maps whose cells do not.

    Args:
        found: what the network computed for the picture.
        changed: what it computed for the picture with changed spots.
    """
    for path, map_ in list(found.maps.items()):
        after = changed.maps.get(path)
        verdict = Verdict.UNDECIDED if after is None else check_map(map_, after)
        found.rows[path] = note_verdict(found.rows[path], verdict)
        if verdict is Verdict.DIFFERS:
            del found.maps[path]


def change_spots(picture: Rgb) -> Rgb:
    """The picture with changed colours at the spots."""
    changed, (height, width) = picture.copy(), picture.shape[:2]
    for y, x in SPOTS:
        high, wide = (max(1, round(side * SPOT_SIDE / 2)) for side in (height, width))
        row, column = int(y * height), int(x * width)
        part = slice(max(0, row - high), row + high), slice(max(0, column - wide), column + wide)
        changed[part] ^= HALF_RANGE
    return changed


def check_map(before: NetworkMap, after: NetworkMap) -> Verdict:
    """Whether the cells of a map lie at their places.

    Args:
        before: the map of a picture.
        after: the same layer's map of the picture with changed spots.
    """
    old, new = cell_features(before), cell_features(after)
    if not old:
        return Verdict.SAMPLED
    if [one.shape for one, _ in old] != [one.shape for one, _ in new]:
        return Verdict.UNDECIDED
    changes = [((other - one).norm(dim=1), grid) for (one, grid), (other, _) in zip(old, new, strict=True)]
    verdicts = {place_verdict(change, grid, before.covers) for change, grid in changes}
    return next((one for one in (Verdict.DIFFERS, Verdict.HOLDS) if one in verdicts), Verdict.UNDECIDED)


def cell_features(map_: NetworkMap) -> list[Features]:
    """What the network computed for each cell, of the queries and of the keys; nothing for sampled points."""
    match map_:
        case MultiHeadAttention():
            queries, keys = map_.queries[:, map_.prefix :], map_.keys[:, map_.key_prefix :]
            return [(by_cell(queries), map_.grid), (by_cell(keys), map_.key_grid)]
        case WindowedAttention():
            return [
                (by_place(map_.queries, map_.query_places, map_.grid), map_.grid),
                (by_place(map_.keys, map_.key_places, map_.key_grid), map_.key_grid),
            ]
        case LinearAttention():
            return [(by_cell(map_.queries), map_.grid), (by_cell(map_.keys), map_.key_grid)]
        case MatrixAttention():
            return [(by_cell(map_.weights[:, map_.prefix :]), map_.grid)]
        case ObjectQueryAttention():
            return [(by_cell(map_.keys[:, map_.key_prefix :]), map_.grid)]
        case DeformableAttention() | DeformableQueries():
            return []
        case _:
            assert_never(map_)


def by_cell(factor: Tensor) -> Tensor:
    """A factor (heads, cells, dim) as (cells, heads x dim)."""
    return factor.transpose(0, 1).flatten(1)


def by_place(factor: Tensor, places: Tensor, grid: Grid) -> Tensor:
    """A factor (windows, heads, tokens, dim) as (cells, heads x dim); where windows overlap, of one of them."""
    tokens, cells = factor.transpose(1, 2).flatten(0, 1).flatten(1), places.flatten()
    found = tokens.new_zeros(grid[0] * grid[1], tokens.shape[1])
    inside = cells >= 0
    found[cells[inside]] = tokens[inside]
    return found


def place_verdict(change: Tensor, grid: Grid, covers: Cover) -> Verdict:
    """What the change of each cell says of their places.

    Compared are the cells near the spots and the cells that changed most, as many of them: shares of the whole change.

    Args:
        change: how much each cell changed, row by row.
        grid: rows and columns of the cells.
        covers: the part of the picture that the grid covers, see `HeadMap`.
    """
    spots = [spot_cell(spot, grid, covers) for spot in SPOTS]
    near = torch.stack([distance_to(spot, grid) for spot in spots]).amin(0) <= max(1, max(grid) // NEAR_PART)
    total, count = change.sum(), int(near.sum())
    if not total > 0:  # or no number
        return Verdict.UNDECIDED
    most = float(change.topk(count).values.sum() / total)
    agreement = float(change[near].sum() / total) / most
    if most < LEAST_CONTRAST * count / len(change):
        return Verdict.UNDECIDED
    if agreement >= AGREES:
        return Verdict.HOLDS
    return Verdict.DIFFERS if agreement <= DISAGREES and most >= CONCENTRATED else Verdict.UNDECIDED


def spot_cell(spot: tuple[float, float], grid: Grid, covers: Cover) -> Grid:
    """The cell of a spot's centre."""
    size = covered_size((1000, 1000), covers)
    return cell_of_pixel(round(spot[0] * 1000), round(spot[1] * 1000), size, grid)


def distance_to(cell: Grid, grid: Grid) -> Tensor:
    """How many rows or columns each cell is away from one, whichever is more."""
    rows, columns = (torch.arange(side) - own for side, own in zip(grid, cell, strict=True))
    return torch.maximum(rows.abs()[:, None], columns.abs()).flatten()


def note_verdict(layer: FoundLayer, verdict: Verdict) -> FoundLayer:
    """A row of the table with the verdict on its map, which is passed over if its places differ."""
    if verdict is Verdict.DIFFERS:
        return replace(layer, state="passed over", reason=verdict.value, check="")
    return replace(layer, places=verdict.value)
