"""Dense attention with heads, two grids, and tokens that are not in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.dot_product import QUERIES_AT_ONCE
from segviz.attention.grid_map import as_whole_number
from segviz.attention.head_map import HeadChoice, HeadMap, select_head
from segviz.attention.softmax import log_sum, weigh


@dataclass(frozen=True, repr=False)
class MultiHeadAttention(HeadMap):
    """`softmax_j(scale q_p . k_j + b_pj)` in each head (Vaswani et al., NeurIPS 2017, eq. 1).

    The first `prefix` queries and `key_prefix` keys are tokens that are not in the picture (class, registers); the
    others are the cells of the grids, row by row. A query that the bias lets look at nothing draws nothing.

    Attributes:
        scale: factor of the products.
        bias: b, of all tokens; one for each head, or one for all, and one for each query, or one for all. With one for
            each query it is O(N M), and is kept only where it has no simpler form.
        offset_bias: b by relative position: `[r_j - r_p + h - 1, c_j - c_p + w - 1]` for cells p and j of equal grids;
            0 for prefix tokens. Both biases are added.
    """

    may_be_empty = True

    queries: Float[Tensor, "heads tokens dim"]
    keys: Float[Tensor, "heads key_tokens dim"]
    scale: float = 1.0
    prefix: int = 0
    key_prefix: int = 0
    bias: Float[Tensor, "bias_heads bias_tokens key_tokens"] | None = None
    offset_bias: Float[Tensor, "offset_heads down along"] | None = None

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return len(self.queries)

    @cached_property
    def log_normaliser(self) -> Float[Tensor, "heads cells"]:
        """The `log_sum` of every query cell's logits, prefix keys among them; computed when first asked for."""
        cells = torch.arange(self.prefix, self.queries.shape[1])
        return torch.cat([log_sum(self.logits(part)) for part in cells.split(QUERIES_AT_ONCE)], 1)

    def logits(self, tokens: Tensor) -> Float[Tensor, "heads chosen key_tokens"]:
        """The logits of chosen query tokens, by their numbers, for all keys; prefix tokens come first."""
        logits = self.queries[:, tokens] @ self.keys.mT * self.scale
        if self.bias is not None:
            logits = logits + (self.bias if self.bias.shape[1] == 1 else self.bias[:, tokens])
        if self.offset_bias is not None:
            cells = tokens - self.prefix
            offsets = self._offsets(cells.clamp_min(0)) * (cells >= 0)[:, None]
            logits[..., self.key_prefix :] += offsets
        return logits

    def head_rows(self, cell: int) -> Float[Tensor, "heads key_cells"]:
        """What a query cell draws from each key cell."""
        return self._weights(cell)[:, self.key_prefix :]

    def head_prefix_shares(self, cell: int) -> Float[Tensor, " heads"]:
        """The weight of a query cell on the prefix keys."""
        return self._weights(cell)[:, : self.key_prefix].sum(1)

    def head_columns(self, key_cell: int) -> Float[Tensor, "heads cells"]:
        """How much each query cell draws from a key cell."""
        key = key_cell + self.key_prefix
        logits = (self.queries[:, self.prefix :] @ self.keys[:, key, :, None])[..., 0] * self.scale
        if self.bias is not None:
            logits = logits + self.bias[:, self.prefix if self.bias.shape[1] > 1 else 0 :, key]
        if self.offset_bias is not None:
            (height, width), (row, column) = self.grid, divmod(key_cell, self.grid[1])
            window = self.offset_bias.flip(1, 2)[:, height - 1 - row :, width - 1 - column :]
            logits = logits + window[:, :height, :width].flatten(1)
        return (logits - self.log_normaliser).exp()

    def prefix_attends_to(self, token: int, head: HeadChoice = "mean") -> Float[Tensor, "key_rows key_columns"]:
        """What a prefix token, such as the class token 0, draws from each key cell.

        Raises:
            IndexError: there is no such token or head.
        """
        token = as_whole_number(token, "prefix token")
        if not 0 <= token < self.prefix:
            known = f"0 to {self.prefix - 1}" if self.prefix else "none"
            raise IndexError(f"prefix token {token} does not exist: map '{self.name}' has {known}")
        weights = self._weights(token - self.prefix)[:, self.key_prefix :]
        return select_head(weights, head, self.name).reshape(self.key_grid)

    def _weights(self, cell: int) -> Tensor:
        return weigh(self.logits(torch.tensor([cell + self.prefix])))[:, 0]

    def _offsets(self, cells: Tensor) -> Tensor:
        """The bias by relative position of chosen query cells: (heads or 1, chosen, key cells)."""
        assert self.offset_bias is not None
        (height, width), (rows, columns) = self.grid, (cells // self.grid[1], cells % self.grid[1])
        down = torch.arange(height) - rows[:, None] + height - 1
        along = torch.arange(width) - columns[:, None] + width - 1
        return self.offset_bias[:, down[:, :, None], along[:, None]].flatten(2)
