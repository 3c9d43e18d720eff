"""Attention as values: one frozen class per kind of map, holding factors instead of the N x N matrix.

Cells are numbered row by row over `grid = (height, width)`. In every class `attends_to(row, column)` is
row p of the attention matrix (what cell p draws from each cell) and `attended_by(row, column)` is column p
(how much each cell draws from p); both are float32 arrays of the shape of the grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from segviz.runtime.mmap_copy import tensor_to_keep

Grid = tuple[int, int]
Direction = Literal[
    "attends_to", "attended_by"
]  # where a cell looks, or who looks at it: row p of the attention matrix, or column p
QUERIES_AT_ONCE = 512  # bounds the memory of a normaliser: 512 x cells logits at a time


def cell_of_pixel(y: int, x: int, size: Grid, grid: Grid) -> Grid:
    """The grid cell that covers an image pixel: `floor((y + 1/2) h / H)`, and likewise for x.

    Raises:
        ValueError: the pixel lies outside the picture.
    """
    (height, width), (rows, columns) = size, grid
    if not (0 <= y < height and 0 <= x < width):
        raise ValueError(
            f"pixel (y={y}, x={x}) is outside the {height} x {width} picture; use 0 <= y < {height}, 0 <= x < {width}"
        )
    return int((y + 0.5) * rows / height), int((x + 0.5) * columns / width)


@dataclass(frozen=True)
class GridMap:
    """What every map over the feature grid has: a name and the grid's (height, width)."""

    name: str
    grid: Grid

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The cell of an image pixel, for a picture of `height` x `width` pixels."""
        return cell_of_pixel(y, x, (height, width), self.grid)

    def index(self, row: int, column: int) -> int:
        """The number of a cell.

        Raises:
            IndexError: the cell lies outside the grid.
        """
        height, width = self.grid
        if not (0 <= row < height and 0 <= column < width):
            raise IndexError(f"cell ({row}, {column}) is outside the {height} x {width} grid of map '{self.name}'")
        return row * width + column


@dataclass(frozen=True)
class DotProductAttention(GridMap):
    """Dense attention `softmax_j(q_p . k_j)`: non-local blocks (Wang et al., CVPR 2018, eq. 4)."""

    queries: Float[Tensor, "cells dim"]
    keys: Float[Tensor, "cells dim"]

    @cached_property
    def log_normaliser(self) -> Float[Tensor, " cells"]:
        """`log sum_j exp(q_p . k_j)` of every query cell p; computed when first asked for."""
        return log_normaliser(self.queries, self.keys)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Weights that one cell gives to every cell; they sum to 1."""
        return (self.keys @ self.queries[self.index(row, column)]).softmax(0).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Weight that every cell gives to this one, each in [0, 1]; the sum is free."""
        logits = self.queries @ self.keys[self.index(row, column)]
        return (logits - self.log_normaliser).exp().reshape(self.grid)


@dataclass(frozen=True)
class StripAttention(GridMap):
    """Attention of every cell over whole strips, the strip means of keys and values (AttaNet, eq. 2).

    `axis="vertical"`: the strips are the grid's columns; "horizontal": its rows.
    """

    queries: Float[Tensor, "cells dim"]
    keys: Float[Tensor, "strips dim"]
    axis: Literal["vertical", "horizontal"]

    def strip_weights(self, row: int, column: int) -> Float[Tensor, " strips"]:
        """Weights that one cell gives to each strip; they sum to 1."""
        return (self.keys @ self.queries[self.index(row, column)]).softmax(0)

    def strip_map(self, strip: int) -> Float[Tensor, "height width"]:
        """How much every cell reads the strip, `A[:, j]` (AttaNet Fig. 9); all strips' maps add up to ones.

        Raises:
            IndexError: there is no such strip.
        """
        if not 0 <= strip < len(self.keys):
            raise IndexError(f"strip {strip} does not exist: map '{self.name}' has strips 0 to {len(self.keys) - 1}")
        return (self.queries @ self.keys.T).softmax(1)[:, strip].reshape(self.grid)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The strips' weights, each spread evenly over its cells; they sum to 1."""
        height, width = self.grid
        weights = self.strip_weights(row, column)
        if self.axis == "vertical":
            return (weights / height).expand(height, width).clone()
        return (weights / width)[:, None].expand(height, width).clone()

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every cell draws from this one, by way of its strip's mean."""
        self.index(row, column)
        vertical = self.axis == "vertical"
        return self.strip_map(column if vertical else row) / self.grid[0 if vertical else 1]


@dataclass(frozen=True)
class CrissCrossAttention(GridMap):
    """Repeated attention over the row and column of each cell (CCNet, eq. 1-3), H + W - 1 cells each.

    Passes are kept in the order in which the block ran them. Both maps are those of their product, with
    the residual connection left out: the last pass first picks the cross of p, the earlier ones the
    crosses of that cross.
    """

    queries: Float[Tensor, "passes cells dim"]
    keys: Float[Tensor, "passes cells dim"]

    @cached_property
    def log_normalisers(self) -> Float[Tensor, "passes height width"]:
        """The logarithm of each cell's softmax denominator over its cross, per pass."""
        return torch.stack([self._cross_normaliser(number) for number in range(len(self.queries))])

    @cached_property
    def last_pass(self) -> CrissCrossAttention:
        """The last pass alone: what each cell reads of the features that the earlier passes made."""
        return CrissCrossAttention(f"{self.name}_last_pass", self.grid, self.queries[-1:], self.keys[-1:])

    def pass_attends_to(self, number: int, row: int, column: int) -> Float[Tensor, "height width"]:
        """Row p of one pass alone: a softmax over the cross of p, zero elsewhere.

        Raises:
            IndexError: there is no such pass.
        """
        if not 0 <= number < len(self.queries):
            last = len(self.queries) - 1
            raise IndexError(f"pass {number} does not exist: map '{self.name}' has passes 0 to {last}")
        start = torch.zeros(self.grid, dtype=self.queries.dtype)
        start[divmod(self.index(row, column), self.grid[1])] = 1
        return self._pull(number, start)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Row p of the product of all passes; it sums to 1."""
        weights = torch.zeros(self.grid, dtype=self.queries.dtype)
        weights[divmod(self.index(row, column), self.grid[1])] = 1
        for number in reversed(range(len(self.queries))):
            weights = self._pull(number, weights)
        return weights

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """Column p of the product of all passes."""
        weights = torch.zeros(self.grid, dtype=self.queries.dtype)
        weights[divmod(self.index(row, column), self.grid[1])] = 1
        for number in range(len(self.queries)):
            weights = self._push(number, weights)
        return weights

    def _weights(self, number: int) -> tuple[Tensor, Tensor]:
        """One pass as (W, H, H) weights along columns and (H, W, W) along rows, indexed [line, query, key]."""
        query, key = (factor[number].unflatten(0, self.grid) for factor in (self.queries, self.keys))
        down = torch.einsum("iwd,jwd->wij", query, key) - self.log_normalisers[number].T[:, :, None]
        along = torch.einsum("hid,hjd->hij", query, key) - self.log_normalisers[number][:, :, None]
        down = down.exp()
        down.diagonal(dim1=1, dim2=2).zero_()  # the cell itself counts once, with its row
        return down, along.exp()

    @cached_property
    def _all_weights(self) -> list[tuple[Tensor, Tensor]]:
        return [self._weights(number) for number in range(len(self.queries))]

    def _pull(self, number: int, weights: Tensor) -> Tensor:
        """`w A`: spread weights on queries over the keys that they read."""
        down, along = self._all_weights[number]
        return torch.einsum("iw,wij->jw", weights, down) + torch.einsum("hi,hij->hj", weights, along)

    def _push(self, number: int, weights: Tensor) -> Tensor:
        """`A w`: gather weights on keys into the queries that read them."""
        down, along = self._all_weights[number]
        return torch.einsum("jw,wij->iw", weights, down) + torch.einsum("hj,hij->hi", weights, along)

    def _cross_normaliser(self, number: int) -> Tensor:
        query, key = (factor[number].unflatten(0, self.grid) for factor in (self.queries, self.keys))
        down = torch.einsum("iwd,jwd->wij", query, key)
        down.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        along = torch.einsum("hid,hjd->hij", query, key)
        return torch.logaddexp(down.logsumexp(2).T, along.logsumexp(2))


@dataclass(frozen=True)
class BasesAttention(GridMap):
    """Attention by way of K bases (EMANet, eq. 12-13): `sum_k z_pk z_jk / sum_n z_nk`.

    `bases` are the fitted ones, mu. The map leaves out their l2 norms, which the block adds to steady the iteration.
    """

    responsibilities: Float[Tensor, "cells bases"]
    bases: Float[Tensor, "bases channels"]

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """What one cell draws from every cell through the bases; it sums to 1."""
        own = self.responsibilities[self.index(row, column)]
        shares = own / self.responsibilities.sum(0).clamp_min(torch.finfo(own.dtype).tiny)
        return (self.responsibilities @ shares).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every cell draws from this one: the matrix is symmetric, so the same numbers."""
        return self.attends_to(row, column)

    def base_map(self, base: int) -> Float[Tensor, "height width"]:
        """How much of every cell belongs to one base, in [0, 1].

        Raises:
            IndexError: there is no such base.
        """
        count = self.responsibilities.shape[1]
        if not 0 <= base < count:
            raise IndexError(f"base {base} does not exist: map '{self.name}' has bases 0 to {count - 1}")
        return self.responsibilities[:, base].reshape(self.grid)


@dataclass(frozen=True)
class SampledAttention(GridMap):
    """K sampled places per cell and their weights (SSANet, eq. 4-6).

    `positions` are (y, x) in grid cells and may lie outside the grid; `window` holds the K undisplaced
    offsets (dy, dx), so `positions - cell - window` are the learned offsets.
    """

    positions: Float[Tensor, "cells points 2"]
    weights: Float[Tensor, "cells points"]
    window: Float[Tensor, "points 2"]

    def samples(self, row: int, column: int) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """The K positions (y, x) of one cell, in grid cells, and their weights, which sum to 1."""
        cell = self.index(row, column)
        return self.positions[cell], self.weights[cell]

    def undisplaced(self, row: int, column: int) -> Float[Tensor, "points 2"]:
        """Where the K points would lie without learned offsets, in grid cells."""
        self.index(row, column)
        return self.window + torch.tensor([row, column], dtype=self.window.dtype)

    def attends_to(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """The weights splatted bilinearly; they sum to 1 less what falls outside the picture."""
        cells, shares = self._corners(*self.samples(row, column))
        flat = torch.zeros(self.grid[0] * self.grid[1], dtype=shares.dtype)
        return flat.index_add_(0, cells.flatten(), shares.flatten()).reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much the samples of every cell lie on this one."""
        self.index(row, column)
        near = (1 - (self.positions - torch.tensor([row, column])).abs()).clamp_min(0).prod(2)
        return (self.weights * near).sum(1).reshape(self.grid)

    def _corners(self, positions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The four cells around each position, and the weight that falls on each; 0 outside the grid."""
        height, width = self.grid
        low = positions.floor()
        cells, shares = [], []
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            at = low + torch.tensor(corner)
            y, x = at.unbind(-1)
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            cells.append((y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long())
            shares.append(weights * (1 - (positions - at).abs()).prod(-1) * inside)
        return torch.stack(cells), torch.stack(shares)


@dataclass(frozen=True)
class OffsetMaskAttention(GridMap):
    """Point-wise spatial attention (PSANet, eq. 8-10): masks predicted by relative position.

    `masks[p, j]` is the logit that p's own over-completed mask holds for cell j. Cut out of the
    (2H-1) x (2W-1) mask, this window is a quarter of it and all of it that the block uses.
    "collect": p's mask says what p reads; "distribute": it says who reads p. With a `divisor` the block
    took no softmax: its weights are the logits over the divisor, of either sign, and 0 beyond the reach.
    """

    masks: Float[Tensor, "cells cells"]
    direction: Literal["collect", "distribute"]
    divisor: float | None = None

    def cell(self, y: int, x: int, height: int, width: int) -> Grid:
        """The cell of an image pixel; the shrunk grid's corners lie on the picture's (align_corners)."""
        cell_of_pixel(y, x, (height, width), self.grid)
        rows, columns = self.grid
        return round(y * (rows - 1) / max(height - 1, 1)), round(x * (columns - 1) / max(width - 1, 1))

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
        weights = logits.softmax(0) if self.divisor is None else self._divided(logits)
        return weights.reshape(self.grid)

    def attended_by(self, row: int, column: int) -> Float[Tensor, "height width"]:
        """How much every target receives from this source; for distribute, PSANet's Fig. 6."""
        cell = self.index(row, column)
        logits = self.masks[:, cell] if self.direction == "collect" else self.masks[cell]
        weights = (logits - self.log_normaliser).exp() if self.divisor is None else self._divided(logits)
        return weights.reshape(self.grid)

    def _divided(self, logits: Tensor) -> Tensor:
        assert self.divisor is not None
        return logits.masked_fill(logits.isinf(), 0) / self.divisor


@dataclass(frozen=True)
class ChannelAttention:
    """The C x C matrix of a channel non-local block (DANet's CAM); rows sum to 1."""

    name: str
    matrix: Float[Tensor, "channels channels"]


@dataclass(frozen=True)
class AxisChannelAttention(GridMap):
    """FLA's channel affinities (FLANet, eq. 1): one C x C matrix for each row, or column, of the grid.

    `context` is the pooled, projected query of the path: q_w (C, W) for "rows", q_h (C, H) for "columns".
    """

    features: Float[Tensor, "channels height width"]
    context: Float[Tensor, "channels length"]
    axis: Literal["rows", "columns"]

    def matrix(self, line: int) -> Float[Tensor, "channels channels"]:
        """The affinity `A[j, i]` of one row or column of the grid: channel j draws from i; rows sum to 1.

        Raises:
            IndexError: the grid has no such line.
        """
        lines = self.grid[0 if self.axis == "rows" else 1]
        if not 0 <= line < lines:
            raise IndexError(f"{self.axis} {line} does not exist: map '{self.name}' has 0 to {lines - 1}")
        slice_ = self.features[:, line] if self.axis == "rows" else self.features[:, :, line]
        return (slice_ @ self.context.T).softmax(1)


@dataclass(frozen=True)
class Gate:
    """AFM's channel gate alpha in (0, 1): the share of the coarser level in each channel (AttaNet, eq. 5)."""

    name: str
    alpha: Float[Tensor, " channels"]


@dataclass(frozen=True)
class AttendedFeatures(GridMap):
    """Channel means of a block's output, and of its context before gamma and residual (FLANet Fig. 6)."""

    output: Float[Tensor, "height width"]
    context: Float[Tensor, "height width"]


SpatialMap = (
    DotProductAttention | StripAttention | CrissCrossAttention | BasesAttention | SampledAttention | OffsetMaskAttention
)
AttentionMap = SpatialMap | ChannelAttention | AxisChannelAttention | Gate


def attention_weights(map_: SpatialMap, row: int, column: int, direction: Direction) -> Float[Tensor, "height width"]:
    """`attends_to` or `attended_by` of a map, by the direction's name.

    Raises:
        IndexError: the cell lies outside the grid.
    """
    return map_.attends_to(row, column) if direction == "attends_to" else map_.attended_by(row, column)


@dataclass(frozen=True)
class Attended:
    """What a block returns: new features, its context, and its maps, a tuple for each image of the batch."""

    features: Float[Tensor, "batch channels height width"]
    context: Float[Tensor, "batch wide height width"]
    maps: tuple[tuple[AttentionMap, ...], ...]


Value = TypeVar("Value", AttentionMap, AttendedFeatures)


def log_normaliser(queries: Float[Tensor, "cells dim"], keys: Float[Tensor, "keys dim"]) -> Float[Tensor, " cells"]:
    """`log sum_j exp(q_p . k_j)`, a block of queries at a time."""
    return torch.cat([(part @ keys.T).logsumexp(1) for part in queries.split(QUERIES_AT_ONCE)])


def detached(values: Sequence[Value]) -> tuple[Value, ...]:
    """The same maps as float32 on the CPU, cut off from the network that made them and from its memory.

    What several of them have in common, they still have.
    """
    kept: dict[tuple[object, ...], Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
        if place not in kept:
            kept[place] = tensor_to_keep(tensor.float())
        return kept[place]

    def free(value: Value) -> Value:
        parts = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        tensors: dict[str, Any] = {name: keep(part) for name, part in parts.items() if isinstance(part, Tensor)}
        return dataclasses.replace(value, **tensors)

    return tuple(map(free, values))
