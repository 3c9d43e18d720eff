"""Attention by way of a few bases that are fitted to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import MapOverPlaces


@dataclass(frozen=True, repr=False)
class BasesAttention(MapOverPlaces):
    """Attention by way of K bases (EMANet, eq. 12-13): `sum_k z_pk z_jk / sum_n z_nk`.

    `bases` are the fitted ones, mu. The map leaves out their l2 norms, which the block adds to steady the iteration.
    """

    responsibilities: Float[Tensor, "cells bases"]
    bases: Float[Tensor, "bases channels"]

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """What one cell draws from every cell through the bases; it sums to 1."""
        own = self.responsibilities[self.index(row, column)]
        shares = own / self.responsibilities.sum(0).clamp_min(torch.finfo(own.dtype).tiny)
        return (self.responsibilities @ shares).reshape(self.grid)

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows, by one product."""
        own = self.responsibilities[cells]
        shares = own / self.responsibilities.sum(0).clamp_min(torch.finfo(own.dtype).tiny)
        return shares @ self.responsibilities.T

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every cell draws from this one: the matrix is symmetric, so the same numbers."""
        return self.attends_to(row, column)

    def base_map(self, base: int) -> Float[Tensor, "height width"]:
        """How much of every cell belongs to one base, in [0, 1].

        Raises:
            IndexError: there is no such base.
        """
        base = self.check_part(base, self.responsibilities.shape[1], "base", "bases")
        return self.responsibilities[:, base].reshape(self.grid)
