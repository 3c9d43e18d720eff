"""Not attention but likeness: the cosine of one place's feature with every place's, at any layer of any network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import MapOverPlaces


@dataclass(frozen=True, repr=False)
class FeatureSimilarity(MapOverPlaces):
    """Cosines of features, in [-1, 1]: 1 at the place itself, 0 for a feature that is 0 everywhere.

    They are not weights: they need not sum to anything, so they have no even share, entropy or mean distance.

    Attributes:
        unit_features: the cells' features, each divided by its length.
    """

    unit: ClassVar[str] = "cosine"

    unit_features: Float[Tensor, "cells channels"]

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The cosine of one cell's feature with every cell's."""
        return (self.unit_features @ self.unit_features[self.index(row, column)]).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The same: likeness is symmetric."""
        return self.attends_to(row, column)

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """`attends_to` of many cells at once."""
        return self.unit_features[cells] @ self.unit_features.T

    @property
    def signed(self) -> bool:
        """Opposite features have negative cosines."""
        return True
