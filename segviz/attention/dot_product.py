"""Dense attention by dot products of queries and keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import MapOverPlaces

QUERIES_AT_ONCE = 512  # bounds the memory of a normaliser: 512 x cells logits at a time


@dataclass(frozen=True, repr=False)
class DotProductAttention(MapOverPlaces):
    """Dense attention `softmax_j(q_p . k_j)`: non-local blocks (Wang et al., CVPR 2018, the embedded Gaussian)."""

    queries: Float[Tensor, "cells dim"]
    keys: Float[Tensor, "cells dim"]

    @cached_property
    def log_normaliser(self) -> Float[Tensor, " cells"]:
        """`log sum_j exp(q_p . k_j)` of every query cell p; computed when first asked for."""
        return log_normaliser(self.queries, self.keys)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Weights that one cell gives to every cell; they sum to 1."""
        return (self.keys @ self.queries[self.index(row, column)]).softmax(0).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Weight that every cell gives to this one, each in [0, 1]; the sum is free."""
        logits = self.queries @ self.keys[self.index(row, column)]
        return (logits - self.log_normaliser).exp().reshape(self.grid)

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows, by one product."""
        return (self.queries[cells] @ self.keys.T).softmax(1)


def log_normaliser(queries: Float[Tensor, "cells dim"], keys: Float[Tensor, "keys dim"]) -> Float[Tensor, " cells"]:
    """`log sum_j exp(q_p . k_j)`, a block of queries at a time."""
    return torch.cat([(part @ keys.T).logsumexp(1) for part in queries.split(QUERIES_AT_ONCE)])
