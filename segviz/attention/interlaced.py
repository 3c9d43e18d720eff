"""Dense attention in two sparse passes: over cells far apart, then over cells side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import Grid, MapOverPlaces


@dataclass(frozen=True, repr=False)
class InterlacedAttention(MapOverPlaces):
    """Attention over all cells in two passes (Huang et al., arXiv 1907.12273, eq. 4-6).

    The grid, padded to whole blocks, is cut into blocks. The first pass joins the cells that have the same place in
    their blocks, the second one the cells of a block. From cell j to cell p there is one way, by the cell m that has
    j's place in p's block, so the weights of both passes together are `A_pj = L_pm G_mj`, with softmaxes L and G.

    Padding has keys too: what falls on it is missing from a cell's weights.

    Attributes:
        far_queries, far_keys: of the first pass, by place in the block and by block; queries times their scale.
        near_queries, near_keys: of the second pass, by block and by place in the block; queries times their scale.
        block: rows and columns of a block.
        padding: rows above the grid and columns to its left.
    """

    far_queries: Float[Tensor, "places blocks dim"]
    far_keys: Float[Tensor, "places blocks dim"]
    near_queries: Float[Tensor, "blocks places dim"]
    near_keys: Float[Tensor, "blocks places dim"]
    block: Grid
    padding: Grid

    @property
    def remark(self) -> str:
        """The size of a block."""
        return f"two passes, blocks of {self.block[0]} x {self.block[1]}"

    @cached_property
    def far_normaliser(self) -> Float[Tensor, "places blocks"]:
        """`log sum_j exp` of every query of the first pass."""
        return log_sums(self.far_queries, self.far_keys)

    @cached_property
    def near_normaliser(self) -> Float[Tensor, "blocks places"]:
        """`log sum_j exp` of every query of the second pass."""
        return log_sums(self.near_queries, self.near_keys)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """What one cell draws from every cell through both passes; they sum to 1, less what falls on padding."""
        block, place = self.locate(row, column)
        near = (self.near_keys[block] @ self.near_queries[block, place]).softmax(0)
        far = (self.far_keys @ self.far_queries[:, block, :, None])[..., 0].softmax(1)
        return self._lay_out((near[:, None] * far).T)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every cell draws from this one through both passes; the sum is free."""
        block, place = self.locate(row, column)
        far = (self.far_queries[place] @ self.far_keys[place, block] - self.far_normaliser[place]).exp()
        near = (self.near_queries @ self.near_keys[:, place, :, None])[..., 0] - self.near_normaliser
        return self._lay_out(near.exp() * far[:, None])

    def locate(self, row: int, column: int) -> tuple[int, int]:
        """The number of a cell's block, and of its place in the block.

        Raises:
            IndexError: the cell lies outside the grid.
        """
        row, column = divmod(self.index(row, column), self.grid[1])
        (down, y), (along, x) = (
            divmod(at + before, side) for at, before, side in zip((row, column), self.padding, self.block, strict=True)
        )
        return down * self._blocks_along + along, y * self.block[1] + x

    @property
    def _blocks_along(self) -> int:
        return -(-self.grid[1] // self.block[1])  # padding never adds a whole block

    def _lay_out(self, weights: Float[Tensor, "blocks places"]) -> Float[Tensor, "height width"]:
        """Weights by block and place as a grid, without the padding."""
        (top, left), (height, width) = self.padding, self.grid
        tiles = weights.reshape(-1, self._blocks_along, *self.block)
        return tiles.transpose(1, 2).flatten(2).flatten(0, 1)[top : top + height, left : left + width].contiguous()


def log_sums(
    queries: Float[Tensor, "groups cells dim"], keys: Float[Tensor, "groups cells dim"]
) -> Float[Tensor, "groups cells"]:
    """`log sum_j exp(q_p . k_j)` within each group, one group at a time."""
    return torch.stack([(q @ k.T).logsumexp(1) for q, k in zip(queries, keys, strict=True)])
