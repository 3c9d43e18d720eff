"""Attention to a few pooled tokens, each a weighted mean over the picture's cells."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import MapOverPlaces


@dataclass(frozen=True, repr=False)
class PooledAttention(MapOverPlaces):
    """Attention by way of K tokens that were pooled from the cells: `sum_k w_pk s_jk`.

    Cell p gives token k the weight w_pk, and token k is the mean of the cells with weights s_jk: bins of a pyramid
    (Zhu et al., ICCV 2019) or soft regions of objects (OCR, ECCV 2020). Each row of w sums to 1, each column of s too.

    Attributes:
        weights: w.
        pools: s.
        words: what the tokens are, for the reader.
    """

    weights: Float[Tensor, "cells tokens"]
    pools: Float[Tensor, "cells tokens"]
    words: str = "pooled tokens"

    @property
    def remark(self) -> str:
        """How many tokens there are."""
        return f"{self.weights.shape[1]} {self.words}"

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The tokens' weights, each spread over the cells that it pools; they sum to 1."""
        return (self.pools @ self.token_weights(row, column)).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every cell draws from this one, by way of all tokens that pool it."""
        return (self.weights @ self.pools[self.index(row, column)]).reshape(self.grid)

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows, by one product."""
        return self.weights[cells] @ self.pools.T

    @property
    def reaches_all(self) -> bool:
        """The pools may differ from picture to picture, and so do `even_rows`."""
        return False

    def even_rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """The same weight on each token, spread over the cells that it pools."""
        return self.pools.mean(1).expand(len(cells), -1)

    @property
    def choices(self) -> Float[Tensor, "cells tokens"]:
        """The tokens' weights."""
        return self.weights

    def token_weights(self, row: int, column: int) -> Float[Tensor, " tokens"]:
        """Weights that one cell gives to each token; they sum to 1.

        Raises:
            IndexError: the cell lies outside the grid.
        """
        return self.weights[self.index(row, column)]

    def token_map(self, token: int) -> Float[Tensor, "height width"]:
        """How much of a token comes from every cell; it sums to 1.

        Raises:
            IndexError: there is no such token.
        """
        token = self.check_part(token, self.pools.shape[1], "token", self.words)
        return self.pools[:, token].reshape(self.grid)
