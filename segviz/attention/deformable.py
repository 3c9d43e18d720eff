"""Deformable attention: a few sampled points for each query, head and level (Zhu et al., ICLR 2021, eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeVar

from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import GridMap, MapLook
from segviz.attention.head_map import HeadChoice, HeadMap, select_head, which_head
from segviz.attention.level_samples import Levels, drawn_from_cells, drawn_of_cell, spread_on_level
from segviz.attention.object_queries import ObjectQueryMap
from segviz.text import count_words


@dataclass(frozen=True, repr=False)
class DeformableSamples(GridMap):
    """The points that queries sample from all levels, whatever the queries are: places, or objects.

    Maps lie on the finest level, with all levels added up (`level_samples`).

    Attributes:
        positions: (y, x) of each point, shares of the height and width that the grids cover; beyond 0..1 outside.
        weights: of each point.
        levels: rows and columns of each level.
    """

    positions: Float[Tensor, "heads queries levels points 2"]
    weights: Float[Tensor, "heads queries levels points"]
    levels: Levels

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return len(self.weights)

    def drawn_by(self, query: int) -> Float[Tensor, "heads cells"]:
        """What a query draws from each cell of the finest level."""
        return drawn_from_cells(self.positions[:, query], self.weights[:, query], self.levels)

    def drawn_from(self, row: int, column: int) -> Float[Tensor, "heads queries"]:
        """How much each query draws from a cell of the finest level."""
        return drawn_of_cell(self.positions, self.weights, self.levels, (row, column))

    def head_prefix_shares(self, query: int) -> Float[Tensor, " heads"]:
        """The weight of a query's points outside the picture, in each head."""
        return self.weights[:, query].flatten(1).sum(1) - self.drawn_by(query).sum(1)

    def points_of_query(
        self, query: int, head: HeadChoice
    ) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """The points (y, x) of a query, as `positions`, and their weights; see `points_of_heads`.

        Raises:
            IndexError: there is no such head.
        """
        return points_of_heads(self.positions[:, query], self.weights[:, query], head, self.name)


Samples = TypeVar("Samples", bound=DeformableSamples)


@dataclass(frozen=True, repr=False)
class DeformableAttention(DeformableSamples, HeadMap):
    """What the cells of one level sample from all levels; a query's weights sum to 1 over levels and points.

    `grid` is the queries' level, `key_grid` the finest one; `by_level` has each level alone, on its own grid.

    Attributes:
        looks: the points themselves, too.
        may_be_empty: nobody may sample a cell, and a cell's own points may all lie outside.
    """

    looks: ClassVar[tuple[MapLook, ...]] = ("attends_to", "attended_by", "points")
    may_be_empty: ClassVar[bool] = True

    @property
    def remark(self) -> str:
        """Heads, and the points of each."""
        return ", ".join(part for part in (super().remark, point_words(self.weights)) if part)

    @cached_property
    def by_level(self) -> tuple[DeformableAttention, ...]:
        """Each level as a map of its own, with the level's grid as `key_grid`; its rows are `level_map`.

        A row sums to the level's share of the weight, less what falls outside.
        """
        return maps_of_levels(self, "key_grid")

    def head_rows(self, cell: int) -> Float[Tensor, "heads key_cells"]:
        """What a cell draws from each cell of the finest level."""
        return self.drawn_by(cell)

    def head_columns(self, key_cell: int) -> Float[Tensor, "heads cells"]:
        """How much each cell draws from a cell of the finest level."""
        return self.drawn_from(*divmod(key_cell, self.key_grid[1]))

    def level_map(
        self, row: int, column: int, level: int, head: HeadChoice = "mean"
    ) -> Float[Tensor, "level_rows level_columns"]:
        """What one cell draws from each cell of one level; all levels together sum to 1 less what falls outside.

        Raises:
            IndexError: there is no such cell, level or head.
        """
        level, cell = self.check_part(level, len(self.levels), "level", "levels"), self.index(row, column)
        spread = spread_on_level(self.positions[:, cell, level], self.weights[:, cell, level], self.levels[level])
        return select_head(spread, head, self.name)

    def points(
        self, row: int, column: int, head: HeadChoice = "mean"
    ) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """The points (y, x) of one cell, as `positions`, and their weights; see `points_of_heads`.

        Raises:
            IndexError: there is no such cell or head.
        """
        return self.points_of_query(self.index(row, column), head)


@dataclass(frozen=True, repr=False)
class DeformableQueries(DeformableSamples, ObjectQueryMap):
    """What object queries sample from all levels, as in a decoder of Deformable DETR; see `DeformableAttention`.

    `grid` is the finest level.
    """

    @property
    def query_count(self) -> int:
        """How many object queries there are."""
        return self.weights.shape[1]

    @cached_property
    def by_level(self) -> tuple[DeformableQueries, ...]:
        """Each level as a map of its own, on the level's grid; see `DeformableAttention.by_level`."""
        return maps_of_levels(self, "grid")

    def head_query_maps(self, query: int) -> Float[Tensor, "heads cells"]:
        """What one object query draws from each cell of the finest level."""
        return self.drawn_by(query)

    def head_looks(self, cell: int) -> Float[Tensor, "heads queries"]:
        """How much each object query draws from a cell of the finest level."""
        return self.drawn_from(*divmod(cell, self.grid[1]))

    def points(
        self, query: int, head: HeadChoice = "mean"
    ) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """The points (y, x) of one query, as `positions`, and their weights; see `points_of_heads`.

        Raises:
            IndexError: there is no such query or head.
        """
        return self.points_of_query(self.check_query(query), head)


def maps_of_levels(whole: Samples, sampled: str) -> tuple[Samples, ...]:
    """Each level of a map as a map of its own, on the level's grid.

    Args:
        whole: the map.
        sampled: the name of its field that holds the grid of what is sampled.
    """
    return tuple(
        replace(
            whole, name=f"{whole.name} level {at}", levels=(grid,),
            positions=whole.positions[:, :, at : at + 1], weights=whole.weights[:, :, at : at + 1], **{sampled: grid},
        )
        for at, grid in enumerate(whole.levels)
    )  # fmt: skip


def points_of_heads(
    positions: Float[Tensor, "heads levels points 2"],
    weights: Float[Tensor, "heads levels points"],
    head: HeadChoice,
    name: str,
) -> tuple[Float[Tensor, "shown 2"], Float[Tensor, " shown"]]:
    """The points of one head; those of all heads, each with its share of the mean, or with "largest" its own weight.

    Points of weight 0 are left out: levels with fewer points than others are filled up with such.

    Raises:
        IndexError: there is no such head.
    """
    chosen = which_head(head, len(weights), name)
    if isinstance(chosen, int):
        positions, shares = positions[chosen].flatten(0, 1), weights[chosen].flatten()
    else:
        shares = (weights / len(weights) if chosen == "mean" else weights).flatten()
        positions = positions.flatten(0, 2)
    return positions[shares > 0], shares[shares > 0]


def point_words(weights: Float[Tensor, "heads queries levels points"]) -> str:
    """How many points a query has in a head, in words."""
    levels, points = weights.shape[2:]
    each = count_words(points, "point")
    return f"{each} on each of {levels} levels" if levels > 1 else each
