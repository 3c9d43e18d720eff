"""`segviz.record`: one line in a block that declares its attention to whoever watches. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

AttentionKind = Literal["softmax", "linear", "relu-linear", "object-queries"]
Sides = tuple[int, int]


@dataclass(frozen=True)
class Declaration:
    """What a block declared; see `record`."""

    queries: Tensor | None = None
    keys: Tensor | None = None
    weights: Tensor | None = None
    grid: Sides | None = None
    key_grid: Sides | None = None
    kind: AttentionKind = "softmax"
    scale: float = 1.0
    bias: Tensor | None = None
    prefix: int = 0
    key_prefix: int = 0
    epsilon: float = 0.0
    window: Sides | None = None
    shift: Sides = (0, 0)


class Listener(Protocol):
    """Whoever watches a network."""

    def declare(self, module: nn.Module, declaration: Declaration) -> None:
        """Take what a block declared."""


WATCHING: ContextVar[tuple[Listener, ...]] = ContextVar("segviz.watching", default=())  # each thread has its own


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Let a listener hear what blocks declare in this thread meanwhile."""
    token = WATCHING.set((*WATCHING.get(), listener))
    try:
        yield
    finally:
        WATCHING.reset(token)


def record(
    module: nn.Module,
    *,
    queries: Tensor | None = None,
    keys: Tensor | None = None,
    weights: Tensor | None = None,
    grid: Sides | None = None,
    key_grid: Sides | None = None,
    kind: AttentionKind = "softmax",
    scale: float = 1.0,
    bias: Tensor | None = None,
    prefix: int = 0,
    key_prefix: int | None = None,
    epsilon: float = 0.0,
    window: Sides | None = None,
    shift: Sides = (0, 0),
) -> None:
    """Declare a block's attention, from within its forward. It has no effect outside `segviz.watch`.

    Give queries and keys, or the weights. What is declared replaces what `segviz.watch` finds in the block itself and
    in its parts; of the network as a whole, only what its own forward computes. A declaration that does not fit
    together never stops the network: the table of `segviz.watch` passes it over and says what to correct.

    Args:
        module: the block, `self`.
        queries: (batch, heads, tokens, dim), or (batch, tokens, dim) for one head. With windows, (windows, heads,
            tokens, dim).
        keys: the same for the keys. Fewer heads serve several heads of the queries each.
        weights: (batch, heads, tokens, key tokens), or without heads: the matrix itself, in place of queries and keys.
        grid: rows and columns of the queries' cells; by default the grid that fits the picture. For object queries, of
            the keys' cells.
        key_grid: rows and columns of the keys' cells; by default `grid` where the keys are as many.
        kind: "softmax" of scale q k + bias; "linear" for non-negative features phi(q) phi(k); "relu-linear" for
            relu(q) relu(k); "object-queries" for queries that are not in the picture.
        scale: factor of the products, such as `dim ** -0.5`.
        bias: added to them, for "softmax" and "object-queries"; of a shape that broadcasts to the weights'.
        prefix: how many tokens that are not in the picture come first among the queries; with "linear" and
            "relu-linear", give the weights instead.
        key_prefix: the same for the keys; by default as many as `prefix`.
        epsilon: what a linear attention adds to its denominator.
        window: rows and columns of windows, in cells, if queries are within windows, row by row.
        shift: by how many cells the grid is rolled up and to the left before it is cut into windows.
    """
    listeners = WATCHING.get()
    if not listeners:
        return
    key_prefix = prefix if key_prefix is None else key_prefix
    declaration = Declaration(
        queries, keys, weights, grid, key_grid, kind, scale, bias, prefix, key_prefix, epsilon, window, shift
    )
    for listener in listeners:
        listener.declare(module, declaration)
