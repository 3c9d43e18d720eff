"""Maps over channels. They give no weights to places; `reason` and `short_reason` tell the reader why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from segviz.attention.grid_map import GridMap, as_whole_number


@dataclass(frozen=True, repr=False)
class ChannelAttention:
    """The C x C matrix of a channel non-local block (DANet's CAM); rows sum to 1."""

    reason: ClassVar[str] = (
        "it relates channels, not places, by one matrix for the whole picture (FLANet calls this “attention missing”)"
    )
    short_reason: ClassVar[str] = "relates channels, not places"

    name: str
    matrix: Float[Tensor, "channels channels"]

    def __repr__(self) -> str:
        """One line."""
        return f"ChannelAttention({self.name!r}, {len(self.matrix)} channels)"


@dataclass(frozen=True, repr=False)
class AxisChannelAttention(GridMap):
    """FLA's channel affinities (FLANet, eq. 1): one C x C matrix for each row, or column, of the grid.

    `context` is the pooled, projected query of the path: q_w (C, W) for "rows", q_h (C, H) for "columns".
    """

    reason: ClassVar[str] = "it relates channels, not places, by a matrix for every row and every column of the grid"
    short_reason: ClassVar[str] = "relates channels, not places"

    features: Float[Tensor, "channels height width"]
    context: Float[Tensor, "channels length"]
    axis: Literal["rows", "columns"]

    def matrix(self, line: int) -> Float[Tensor, "channels channels"]:
        """The affinity `A[j, i]` of one row or column of the grid: channel j draws from i; rows sum to 1.

        Raises:
            IndexError: the grid has no such line.
        """
        lines, line = self.grid[0 if self.axis == "rows" else 1], as_whole_number(line, "line")
        if not 0 <= line < lines:
            raise IndexError(f"{self.axis} {line} does not exist: map '{self.name}' has 0 to {lines - 1}")
        slice_ = self.features[:, line] if self.axis == "rows" else self.features[:, :, line]
        return (slice_ @ self.context.T).softmax(1)


@dataclass(frozen=True, repr=False)
class Gate:
    """AFM's channel gate alpha in (0, 1): the share of the coarser level in each channel (AttaNet, section on AFM)."""

    reason: ClassVar[str] = "it weighs channels, not places: the share of the coarser level in each"
    short_reason: ClassVar[str] = "weighs channels, not places"

    name: str
    alpha: Float[Tensor, " channels"]

    def __repr__(self) -> str:
        """One line."""
        return f"Gate({self.name!r}, {len(self.alpha)} channels)"
