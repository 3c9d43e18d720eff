"""PSA's masks: weights that each cell predicts by relative position."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor

from segviz.attention.grid_map import Grid, MapLook, MapOverPlaces

MaskDirection = Literal["collect", "distribute"]


@dataclass(frozen=True, repr=False)
class OffsetMaskAttention(MapOverPlaces):
    """Point-wise spatial attention (PSANet, eq. 8-9): masks predicted by relative position.

    `masks[p, j]` is the logit that p's own over-completed mask holds for cell j. Cut out of the
    (2H-1) x (2W-1) mask, this window is a quarter of it and all of it that the block uses.
    "collect": p's mask says what p reads; "distribute": it says who reads p. With a `divisor` the block
    took no softmax: its weights are the logits over the divisor, of either sign, and 0 beyond the reach.
    `shrunk_from` is the (height, width) of the block's input, which it shrinks with corners aligned.
    """

    masks: Float[Tensor, "cells cells"]
    direction: MaskDirection
    divisor: float | None = None
    shrunk_from: Grid | None = None

    @property
    def feature_grid(self) -> Grid:
        """The grid of the block's input: the corner cells lie on its corner cells, half of its cells' size inside."""
        return self.shrunk_from or self.grid

    @property
    def main_look(self) -> MapLook:
        """A cell's own mask: what it collects, or whom it distributes to."""
        return "attends_to" if self.direction == "collect" else "attended_by"

    @property
    def signed(self) -> bool:
        """Without a softmax, weights of both signs."""
        return self.divisor is not None

    @cached_property
    def log_normaliser(self) -> Float[Tensor, " cells"]:
        """`log sum_j exp E[i, j]` of every target i."""
        return self.masks.logsumexp(1 if self.direction == "collect" else 0)

    def logits(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The mask that this cell predicted, before the softmax (-inf beyond its reach)."""
        return self.masks[self.index(row, column)].reshape(self.grid)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """What the cell receives from every source; it sums to 1 after a softmax."""
        cell = self.index(row, column)
        logits = self.masks[cell] if self.direction == "collect" else self.masks[:, cell]
        weights = logits.softmax(0) if self.divisor is None else self._divide(logits)
        return weights.reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every target receives from this source; for distribute, PSANet's Fig. 6."""
        cell = self.index(row, column)
        logits = self.masks[:, cell] if self.direction == "collect" else self.masks[cell]
        weights = (logits - self.log_normaliser).exp() if self.divisor is None else self._divide(logits)
        return weights.reshape(self.grid)

    def rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Many rows, cut out of the masks."""
        logits = self._logits_of(cells)
        return logits.softmax(1) if self.divisor is None else self._divide(logits)

    @cached_property
    def reaches_all(self) -> bool:
        """Whether the masks cover the whole grid from every cell."""
        return not bool(self.masks.isinf().any())

    def even_rows(self, cells: Int64[Tensor, " rows"]) -> Float[Tensor, "rows cells"]:
        """Even over the part of the grid that the masks reach."""
        reached = self._logits_of(cells).isfinite()
        return reached / reached.sum(1, keepdim=True)

    def _logits_of(self, cells: Tensor) -> Float[Tensor, "rows cells"]:
        return self.masks[cells] if self.direction == "collect" else self.masks[:, cells].T

    def _divide(self, logits: Tensor) -> Tensor:
        assert self.divisor is not None
        return logits.masked_fill(logits.isinf(), 0) / self.divisor
