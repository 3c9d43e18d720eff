"""Linear attention, which has no softmax; and weights that a block declared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from segviz.attention.head_map import HeadMap


@dataclass(frozen=True, repr=False)
class LinearAttention(HeadMap):
    """`phi(q_p) . phi(k_j) / (sum_n phi(q_p) . phi(k_n) + epsilon)` (Katharopoulos et al., ICML 2020, eq. 5), by heads.

    `queries` and `keys` are phi(q) and phi(k), such as ReLUs in EfficientViT (ICCV 2023, eq. 2). A cell whose features
    are all 0 has no weights.
    """

    may_be_empty = True

    queries: Float[Tensor, "heads cells dim"]
    keys: Float[Tensor, "heads key_cells dim"]
    epsilon: float = 0.0

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return len(self.queries)

    @property
    def signed(self) -> bool:
        """Weights of both signs occur where features of both signs do."""
        return bool((self.queries < 0).any() or (self.keys < 0).any())

    @cached_property
    def normaliser(self) -> Float[Tensor, "heads cells"]:
        """`sum_n phi(q_p) . phi(k_n) + epsilon` of every query cell, by way of the keys' sum; 1 where it is 0."""
        sums = (self.queries @ self.keys.sum(1)[:, :, None])[..., 0] + self.epsilon
        return sums.masked_fill(sums == 0, 1)

    def head_rows(self, cell: int) -> Float[Tensor, "heads key_cells"]:
        """What a query cell draws from each key cell."""
        return (self.keys @ self.queries[:, cell, :, None])[..., 0] / self.normaliser[:, cell, None]

    def head_columns(self, key_cell: int) -> Float[Tensor, "heads cells"]:
        """How much each query cell draws from a key cell."""
        return (self.queries @ self.keys[:, key_cell, :, None])[..., 0] / self.normaliser

    def head_prefix_shares(self, cell: int) -> Float[Tensor, " heads"]:
        """Every token is a cell."""
        return self.queries.new_zeros(self.heads)


@dataclass(frozen=True, repr=False)
class MatrixAttention(HeadMap):
    """Weights as a block declared them with `segviz.record(weights=A)`. The only kind that keeps N x M numbers.

    The first `prefix` queries and `key_prefix` keys are tokens that are not in the picture.
    """

    may_be_empty = True

    weights: Float[Tensor, "heads tokens key_tokens"]
    prefix: int = 0
    key_prefix: int = 0

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return len(self.weights)

    @property
    def signed(self) -> bool:
        """Whether a weight is below 0."""
        return bool((self.weights < 0).any())

    def head_rows(self, cell: int) -> Float[Tensor, "heads key_cells"]:
        """What a query cell draws from each key cell."""
        return self.weights[:, cell + self.prefix, self.key_prefix :]

    def head_columns(self, key_cell: int) -> Float[Tensor, "heads cells"]:
        """How much each query cell draws from a key cell."""
        return self.weights[:, self.prefix :, key_cell + self.key_prefix]

    def head_prefix_shares(self, cell: int) -> Float[Tensor, " heads"]:
        """The weight of a query cell on the prefix keys."""
        return self.weights[:, cell + self.prefix, : self.key_prefix].sum(1)
