"""Attention of object queries to places: the pixel is on the keys' side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import Grid, GridMap, MapLook, cell_of_pixel
from segviz.attention.head_map import Cover, HeadChoice, covered_size, select_head


@dataclass(frozen=True, repr=False)
class ObjectQueryAttention(GridMap):
    """What each object query draws from each place (DETR, ECCV 2020; Mask2Former, CVPR 2022, eq. 2).

    `grid` is the keys'. The first `key_prefix` keys are tokens that are not in the picture.

    Attributes:
        looks: none at a place: a place is no query; `query_map` is drawn.
        scale: factor of the products.
        bias: added to the logits, -inf where a query may not look; one for each head, or one for all.
        covers: see `HeadMap`.
    """

    looks: ClassVar[tuple[MapLook, ...]] = ()

    queries: Float[Tensor, "heads queries dim"]
    keys: Float[Tensor, "heads key_tokens dim"]
    scale: float = 1.0
    key_prefix: int = 0
    bias: Float[Tensor, "bias_heads queries key_tokens"] | None = None
    covers: Cover = field(default=(1.0, 1.0), kw_only=True)

    def __repr__(self) -> str:
        """One line."""
        (height, width), queries = self.grid, self.queries.shape[1]
        return f"ObjectQueryAttention({self.name!r}, {self.heads} heads, {queries} queries x {height} x {width} cells)"

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return len(self.queries)

    @property
    def remark(self) -> str:
        """Heads and queries."""
        return f"{self.heads} heads, {self.queries.shape[1]} object queries"

    def weights(self) -> Float[Tensor, "heads queries key_tokens"]:
        """All weights: queries are few, so this is O(N)."""
        logits = self.queries @ self.keys.mT * self.scale
        return (logits if self.bias is None else logits + self.bias).softmax(2)

    def attended_by(self, row: int, column: int, head: HeadChoice = "mean") -> Float[Tensor, " queries"]:
        """How much each object query draws from one place.

        Raises:
            IndexError: there is no such cell or head.
        """
        cell = self.index(row, column)
        return select_head(self.weights()[:, :, cell + self.key_prefix], head, self.name)

    def query_map(self, query: int, head: HeadChoice = "mean") -> Float[Tensor, "height width"]:
        """What one object query draws from each place.

        Raises:
            IndexError: there is no such query or head.
        """
        return select_head(self._query_weights(query)[:, self.key_prefix :], head, self.name).reshape(self.grid)

    def prefix_share(self, query: int, head: HeadChoice = "mean") -> float:
        """The share of one object query's weight on tokens that are not in the picture.

        Raises:
            IndexError: there is no such query or head.
        """
        return float(select_head(self._query_weights(query)[:, : self.key_prefix].sum(1), head, self.name))

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The cell of an image pixel, for a picture of `height` x `width` pixels.

        Raises:
            ValueError: the pixel lies outside the picture.
        """
        return cell_of_pixel(y, x, covered_size((height, width), self.covers), self.grid)

    def _query_weights(self, query: int) -> Tensor:
        count = self.queries.shape[1]
        if not 0 <= query < count:
            raise IndexError(f"object query {query} does not exist: map '{self.name}' has 0 to {count - 1}")
        logits = (self.keys @ self.queries[:, query, :, None])[..., 0] * self.scale
        weights: Tensor = torch.softmax(logits if self.bias is None else logits + self.bias[:, query], 1)
        return weights
