"""Maps of object queries to places: the pixel is on the keys' side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import Grid, GridMap, MapLook, as_whole_number, cell_of_pixel
from segviz.attention.head_map import Cover, HeadChoice, covered_size, select_head
from segviz.attention.softmax import log_sum, weigh
from segviz.text import count_words


@dataclass(frozen=True, repr=False)
class ObjectQueryMap(GridMap, ABC):
    """What each object query draws from each place; `grid` is that of the places.

    Attributes:
        looks: none at a place: a place is no query; `query_map` is drawn.
        covers: see `HeadMap`.
    """

    looks: ClassVar[tuple[MapLook, ...]] = ()

    covers: Cover = field(default=(1.0, 1.0), kw_only=True)

    @property
    @abstractmethod
    def heads(self) -> int:
        """How many heads there are."""

    @property
    @abstractmethod
    def query_count(self) -> int:
        """How many object queries there are."""

    @abstractmethod
    def head_query_maps(self, query: int) -> Float[Tensor, "heads cells"]:
        """What one object query draws from each place in each head."""

    @abstractmethod
    def head_prefix_shares(self, query: int) -> Float[Tensor, " heads"]:
        """The weight of one object query on what is not in the picture, in each head."""

    @abstractmethod
    def head_looks(self, cell: int) -> Float[Tensor, "heads queries"]:
        """How much each object query draws from a place, by its cell's number, in each head."""

    def __repr__(self) -> str:
        """One line."""
        (height, width), kind = self.grid, type(self).__name__
        heads = count_words(self.heads, "head")
        return f"{kind}({self.name!r}, {heads}, {self.query_count} queries x {height} x {width} cells)"

    @property
    def remark(self) -> str:
        """Heads and queries."""
        return f"{count_words(self.heads, 'head')}, {count_words(self.query_count, 'object query', 'object queries')}"

    def attended_by(self, row: int, column: int, head: HeadChoice = "mean") -> Float[Tensor, " queries"]:
        """How much each object query draws from one place.

        Raises:
            IndexError: there is no such cell or head.
        """
        return select_head(self.head_looks(self.index(row, column)), head, self.name)

    def query_map(self, query: int, head: HeadChoice = "mean") -> Float[Tensor, "height width"]:
        """What one object query draws from each place.

        Raises:
            IndexError: there is no such query or head.
        """
        query = self.check_query(query)
        return select_head(self.head_query_maps(query), head, self.name).reshape(self.grid)

    def prefix_share(self, query: int, head: HeadChoice = "mean") -> float:
        """The share of one object query's weight on what is not in the picture.

        Raises:
            IndexError: there is no such query or head.
        """
        query = self.check_query(query)
        return min(1.0, max(0.0, float(select_head(self.head_prefix_shares(query), head, self.name))))

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The cell of an image pixel, for a picture of `height` x `width` pixels.

        Raises:
            ValueError: the pixel lies outside the picture.
        """
        return cell_of_pixel(y, x, covered_size((height, width), self.covers), self.grid)

    def check_query(self, query: int) -> int:
        """The number of a query; refuses one that there is not.

        Raises:
            IndexError: there is no such query.
            TypeError: it is no whole number.
        """
        query = as_whole_number(query, "object query")
        if not 0 <= query < self.query_count:
            raise IndexError(f"object query {query} does not exist: map '{self.name}' has 0 to {self.query_count - 1}")
        return query


@dataclass(frozen=True, repr=False)
class ObjectQueryAttention(ObjectQueryMap):
    """Attention of object queries (DETR, ECCV 2020; Mask2Former, CVPR 2022, eq. 2).

    The first `key_prefix` keys are tokens that are not in the picture.

    Attributes:
        scale: factor of the products.
        bias: added to the logits, -inf where a query may not look; one for each head, or one for all, and one for each
            query, or one for all. A query that may look at nothing draws nothing.
    """

    queries: Float[Tensor, "heads queries dim"]
    keys: Float[Tensor, "heads key_tokens dim"]
    scale: float = 1.0
    key_prefix: int = 0
    bias: Float[Tensor, "bias_heads bias_queries key_tokens"] | None = None

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return len(self.queries)

    @property
    def query_count(self) -> int:
        """How many object queries there are."""
        return self.queries.shape[1]

    def weights(self) -> Float[Tensor, "heads queries key_tokens"]:
        """All weights: queries are few, so this is O(N)."""
        return weigh(self._logits())

    @cached_property
    def log_normaliser(self) -> Float[Tensor, "heads queries"]:
        """The `log_sum` of every object query's logits, prefix keys among them."""
        return log_sum(self._logits())

    def head_looks(self, cell: int) -> Float[Tensor, "heads queries"]:
        """How much each object query draws from a place in each head."""
        return self.weights()[:, :, cell + self.key_prefix]

    def head_query_maps(self, query: int) -> Float[Tensor, "heads cells"]:
        """What one object query draws from each place in each head."""
        return self._query_weights(query)[:, self.key_prefix :]

    def head_prefix_shares(self, query: int) -> Float[Tensor, " heads"]:
        """The weight of one object query on the prefix keys, in each head."""
        return self._query_weights(query)[:, : self.key_prefix].sum(1)

    def _logits(self) -> Tensor:
        logits = self.queries @ self.keys.mT * self.scale
        return logits if self.bias is None else logits + self.bias

    def _query_weights(self, query: int) -> Tensor:
        logits = (self.keys @ self.queries[:, query, :, None])[..., 0] * self.scale
        if self.bias is not None:
            logits = logits + self.bias[:, query if self.bias.shape[1] > 1 else 0]
        return weigh(logits)
