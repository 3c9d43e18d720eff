"""Attention over whole rows or columns of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import MapLook, MapOverPlaces


@dataclass(frozen=True, repr=False)
class StripAttention(MapOverPlaces):
    """Attention of every cell over whole strips, the strip means of keys and values (AttaNet, the Affinity).

    `axis="vertical"`: the strips are the grid's columns; "horizontal": its rows.
    """

    looks = ("attends_to", "attended_by", "strip")

    queries: Float[Tensor, "cells dim"]
    keys: Float[Tensor, "strips dim"]
    axis: Literal["vertical", "horizontal"]

    def strip_weights(self, row: int, column: int) -> Float[Tensor, " strips"]:
        """Weights that one cell gives to each strip; they sum to 1."""
        return (self.keys @ self.queries[self.index(row, column)]).softmax(0)

    def strip_map(self, strip: int) -> Float[Tensor, "height width"]:
        """How much every cell reads the strip, `A[:, j]` (AttaNet Fig. 9); all strips' maps add up to ones.

        Raises:
            IndexError: there is no such strip.
        """
        strip = self.check_part(strip, len(self.keys), "strip", "strips")
        return (self.queries @ self.keys.T).softmax(1)[:, strip].reshape(self.grid)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The strips' weights, each spread evenly over its cells; they sum to 1."""
        height, width = self.grid
        weights = self.strip_weights(row, column)
        if self.axis == "vertical":
            return (weights / height).expand(height, width).clone()
        return (weights / width)[:, None].expand(height, width).clone()

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every cell draws from this one, by way of its strip's mean."""
        self.index(row, column)
        vertical = self.axis == "vertical"
        return self.strip_map(column if vertical else row) / self.grid[0 if vertical else 1]

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows, by one product."""
        height, width = self.grid
        weights = (self.queries[cells] @ self.keys.T).softmax(1)
        if self.axis == "vertical":
            return (weights / height).repeat(1, height)
        return (weights / width).repeat_interleave(width, 1)

    @property
    def choices(self) -> Float[Tensor, "cells strips"]:
        """The strips' weights: within a strip, all cells have the same."""
        return (self.queries @ self.keys.T).softmax(1)

    @property
    def main_look(self) -> MapLook:
        """How much every cell reads the pointed strip, as in AttaNet's Fig. 9."""
        return "strip"

    @property
    def remark(self) -> str:
        """A strip's weight is spread over its cells."""
        return "strips, spread"
