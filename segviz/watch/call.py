"""One attention call of a network: its factors, and the check that they give what the call returned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segviz.watch.frames import RunningModule

ROWS_TO_CHECK = 64  # of the queries, and of the heads and windows, spread evenly
TOLERANCE = 1e-4


@dataclass(frozen=True)
class AttentionCall:
    """`softmax(scale q k + bias)` as a network computed it, before anything is known of the places of its tokens.

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

    def sample(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """Indices of the leading axes, and of query tokens, at which to check the call."""
        groups = spread_indices(max(1, torch.Size(self.leading).numel()), self.queries.device)
        return tuple(torch.unravel_index(groups, self.leading)), spread_indices(self.tokens, self.queries.device)

    def weights_at(self, groups: tuple[Tensor, ...], rows: Tensor) -> Tensor:
        """The weights (groups, rows, key tokens) that the factors give, in float32."""
        queries = self.queries[(*(one[:, None] for one in groups), rows)].float()
        logits = queries @ self.keys[groups].float().mT * self.scale
        if self.bias is not None:
            bias = self.bias.expand(*self.leading, self.tokens, self.key_tokens)
            logits = logits + bias[(*(one[:, None] for one in groups), rows)].float()
        return logits.softmax(-1)

    def difference_to_output(self, values: Tensor, output: Tensor) -> float:
        """How far `weights values` is from the call's output, relative to its largest number."""
        groups, rows = self.sample()
        expected = output[(*(one[:, None] for one in groups), rows)].float()
        return relative_difference(self.weights_at(groups, rows) @ values[groups].float(), expected)

    def difference_to_weights(self, weights: Tensor) -> float:
        """How far the factors' weights are from those that the call returned, relative to the largest."""
        groups, rows = self.sample()
        expected = weights[(*(one[:, None] for one in groups), rows)].float()
        return relative_difference(self.weights_at(groups, rows), expected)

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains: 1e-4, or four steps of a half-precision type."""
        return max(TOLERANCE, 4 * torch.finfo(self.queries.dtype).eps)


def spread_indices(count: int, device: torch.device) -> Tensor:
    """Up to `ROWS_TO_CHECK` of `count` numbers, spread evenly with both ends."""
    return torch.linspace(0, count - 1, min(count, ROWS_TO_CHECK), device=device).round().long()


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest magnitude of what is expected; NaN counts as infinite."""
    scale = float(expected.abs().max()) or 1.0
    difference = float((found - expected).abs().max()) / scale
    return difference if difference == difference else float("inf")
