"""One attention call of a network: its factors, and the check that they give what the call returned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.linalg import vector_norm

from segviz.attention.softmax import weigh
from segviz.watch.frames import RunningModule

ROWS_TO_CHECK, GROUPS_TO_CHECK = 16, 64  # of the queries, and of the heads and windows, spread evenly
TOLERANCE = 1e-4


Groups = tuple[Tensor, ...] | None  # indices of the leading axes; None is all of them


@dataclass(frozen=True)
class AttentionCall:
    """`softmax(scale q k + bias)` as a network computed it, before anything is known of the places of its tokens.

    A query that the bias lets look at nothing has weights of 0.

    Attributes:
        path: the module's name in the network.
        spelling: the function that computed it.
        queries: (*leading, tokens, dim); leading are batch, heads and windows in any order.
        keys: (*leading, key tokens, dim).
        scale: factor of the products.
        bias: what was added to them; of a shape that broadcasts to (*leading, tokens, key tokens).
        running: the functions of the network that were running, the innermost first.
    """

    path: str
    spelling: str
    queries: Tensor
    keys: Tensor
    scale: float
    bias: Tensor | None
    running: tuple[RunningModule, ...]

    @property
    def leading(self) -> tuple[int, ...]:
        """The sizes of all axes before tokens and dim."""
        return tuple(self.queries.shape[:-2])

    @property
    def tokens(self) -> int:
        """The number of queries."""
        return self.queries.shape[-2]

    @property
    def key_tokens(self) -> int:
        """The number of keys."""
        return self.keys.shape[-2]

    def rename(self, path: str) -> AttentionCall:
        """The same call under another name."""
        return replace(self, path=path)

    def join_leading(self, heads: int) -> AttentionCall:
        """The same call with leading axes (1, heads), where the leading axes are these and others of size 1."""
        if heads == 1 or sorted(self.leading) != [*[1] * (len(self.leading) - 1), heads]:
            return self
        bias = self.bias
        if bias is not None and bias.dim() > 2:
            bias = bias.reshape(1, -1, *bias.shape[-2:])
        queries, keys = (one.reshape(1, heads, *one.shape[-2:]) for one in (self.queries, self.keys))
        return replace(self, queries=queries, keys=keys, bias=bias)

    def sample(self) -> tuple[Groups, Tensor]:
        """Indices of the leading axes, and of query tokens, at which to check the call."""
        device, count = self.queries.device, torch.Size(self.leading).numel()
        groups: Groups = None
        if count > GROUPS_TO_CHECK:
            rest = spread_indices(count, GROUPS_TO_CHECK, device)
            indices: list[Tensor] = []
            for size in reversed(self.leading):
                indices.insert(0, rest % size)
                rest = rest // size
            groups = tuple(indices)
        return groups, spread_indices(self.tokens, ROWS_TO_CHECK, device)

    def weights_at(self, groups: Groups, rows: Tensor) -> Tensor:
        """The weights (groups or all leading axes, rows, key tokens) that the factors give, in float32."""
        keys = select_groups(self.keys, groups)
        logits = select_rows(self.queries, groups, rows) @ keys.mT * self.scale
        if self.bias is not None:
            bias = self.bias.expand(*self.leading, self.tokens, self.key_tokens)
            logits = logits + select_rows(bias, groups, rows)
        return weigh(logits)

    def difference_to_output(self, values: Tensor, output: Tensor) -> float:
        """How far `weights values` is from the call's output, relative to its largest number."""
        groups, rows = self.sample()
        found = self.weights_at(groups, rows) @ select_groups(values, groups)
        return relative_difference(found, select_rows(output, groups, rows))

    def difference_to_weights(self, weights: Tensor) -> float:
        """How far the factors' weights are from those that the call returned, relative to the largest."""
        groups, rows = self.sample()
        return relative_difference(self.weights_at(groups, rows), select_rows(weights, groups, rows))

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains: 1e-4, or four steps of a half-precision type."""
        return max(TOLERANCE, 4 * torch.finfo(self.queries.dtype).eps)


def spread_indices(count: int, most: int, device: torch.device) -> Tensor:
    """At most so many of `count` numbers, spread evenly with both ends."""
    return torch.linspace(0, count - 1, min(count, most), device=device).round().long()


def select_groups(tensor: Tensor, groups: Groups) -> Tensor:
    """Parts of the leading axes, in float32; a view where all are taken."""
    return (tensor if groups is None else tensor[groups]).float()


def select_rows(tensor: Tensor, groups: Groups, rows: Tensor) -> Tensor:
    """The same, of some rows only."""
    if groups is None:
        return tensor.index_select(-2, rows).float()
    return tensor[(*(one[:, None] for one in groups), rows)].float()


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest magnitude of what is expected; NaN counts as infinite."""
    largest = float("inf")  # the norm's order
    scale = float(vector_norm(expected, largest)) or 1.0
    difference = float(vector_norm(found - expected, largest)) / scale
    return difference if difference == difference else float("inf")
