"""Repeated attention over the row and the column of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import MapOverPlaces
from segviz.text import count_words


@dataclass(frozen=True, repr=False)
class CrissCrossAttention(MapOverPlaces):
    """Repeated attention over the row and column of each cell (CCNet, eq. 1-3), H + W - 1 cells each.

    Passes are kept in the order in which the block ran them. Both maps are those of their product, with
    the residual connection left out: the last pass first picks the cross of p, the earlier ones the
    crosses of that cross.
    """

    queries: Float[Tensor, "passes cells dim"]
    keys: Float[Tensor, "passes cells dim"]

    @cached_property
    def log_normalisers(self) -> Float[Tensor, "passes height width"]:
        """The logarithm of each cell's softmax denominator over its cross, per pass."""
        return torch.stack([self._cross_normaliser(number) for number in range(len(self.queries))])

    @property
    def remark(self) -> str:
        """How many passes there are."""
        return count_words(len(self.queries), "pass", "passes")

    @cached_property
    def last_pass(self) -> CrissCrossAttention:
        """The last pass alone: what each cell reads of the features that the earlier passes made."""
        return CrissCrossAttention(f"{self.name}_last_pass", self.grid, self.queries[-1:], self.keys[-1:])

    def pass_attends_to(self, number: int, row: int, column: int) -> Float[Tensor, "height width"]:
        """Row p of one pass alone: a softmax over the cross of p, zero elsewhere.

        Raises:
            IndexError: there is no such pass.
        """
        number = self.check_part(number, len(self.queries), "pass", "passes")
        start = torch.zeros(self.grid, dtype=self.queries.dtype)
        start[divmod(self.index(row, column), self.grid[1])] = 1
        return self._pull(number, start)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Row p of the product of all passes; it sums to 1."""
        weights = torch.zeros(self.grid, dtype=self.queries.dtype)
        weights[divmod(self.index(row, column), self.grid[1])] = 1
        for number in reversed(range(len(self.queries))):
            weights = self._pull(number, weights)
        return weights

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Column p of the product of all passes."""
        weights = torch.zeros(self.grid, dtype=self.queries.dtype)
        weights[divmod(self.index(row, column), self.grid[1])] = 1
        for number in range(len(self.queries)):
            weights = self._push(number, weights)
        return weights

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows of the product of all passes."""
        weights = torch.zeros(len(cells), self.grid[0] * self.grid[1], dtype=self.queries.dtype)
        weights[torch.arange(len(cells)), cells] = 1
        weights = weights.unflatten(1, self.grid)
        for number in reversed(range(len(self.queries))):
            down, along = self._all_weights[number]
            across = torch.einsum("phi,hij->phj", weights, along)
            weights = torch.einsum("piw,wij->pjw", weights, down) + across
        return weights.flatten(1)

    @property
    def reaches_all(self) -> bool:
        """One pass reaches the cross only; a second one reaches every cell from it."""
        return len(self.queries) > 1

    def even_rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Even over the cross after one pass, over the grid after several."""
        if self.reaches_all:
            return super().even_rows(cells)
        height, width = self.grid
        every = torch.arange(height * width)
        own = cells[:, None]
        cross = (every // width == own // width) | (every % width == own % width)
        return cross.to(self.queries.dtype) / (height + width - 1)

    def _weights(self, number: int) -> tuple[Tensor, Tensor]:
        """One pass as (W, H, H) weights along columns and (H, W, W) along rows, indexed [line, query, key]."""
        query, key = (factor[number].unflatten(0, self.grid) for factor in (self.queries, self.keys))
        down = torch.einsum("iwd,jwd->wij", query, key) - self.log_normalisers[number].T[:, :, None]
        along = torch.einsum("hid,hjd->hij", query, key) - self.log_normalisers[number][:, :, None]
        down = down.exp()
        down.diagonal(dim1=1, dim2=2).zero_()  # the cell itself counts once, with its row
        return down, along.exp()

    @cached_property
    def _all_weights(self) -> list[tuple[Tensor, Tensor]]:
        return [self._weights(number) for number in range(len(self.queries))]

    def _pull(self, number: int, weights: Tensor) -> Tensor:
        """`w A`: spread weights on queries over the keys that they read."""
        down, along = self._all_weights[number]
        return torch.einsum("iw,wij->jw", weights, down) + torch.einsum("hi,hij->hj", weights, along)

    def _push(self, number: int, weights: Tensor) -> Tensor:
        """`A w`: gather weights on keys into the queries that read them."""
        down, along = self._all_weights[number]
        return torch.einsum("jw,wij->iw", weights, down) + torch.einsum("hj,hij->hi", weights, along)

    def _cross_normaliser(self, number: int) -> Tensor:
        query, key = (factor[number].unflatten(0, self.grid) for factor in (self.queries, self.keys))
        down = torch.einsum("iwd,jwd->wij", query, key)
        down.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        along = torch.einsum("hid,hjd->hij", query, key)
        return torch.logaddexp(down.logsumexp(2).T, along.logsumexp(2))
