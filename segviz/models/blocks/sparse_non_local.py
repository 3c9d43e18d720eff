"""The sparse non-local block (SSANet, arXiv 2109.01915, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, SampledAttention
from segviz.models.blocks.context_block import SLOW, ContextBlock, silence, zero
from segviz.models.blocks.precision import full_precision
from segviz.models.blocks.sampling import Padding, Sampling, gather_samples, gather_through_products


class SparseNonLocal(ContextBlock):
    """Every cell gathers from K = kh x kw places around it, each displaced by a learned offset (eq. 4-7).

    The paper has no released code. What it leaves open is an option here: offsets and gamma start at zero,
    so training starts from the plain window and an identity; offsets are stored (dy, dx) sample by sample.

    Args:
        channels: input and output channels.
        window: (kh, kw), the undisplaced neighbourhood; 9 x 9 is the paper's K = 81. An even side reaches one cell
            further up, or left, than down, or right; the paper says nothing of even sides.
        padding: what the cells beyond the map's edge are: "zeros" as in deformable convolution (a place that reads none
            but them has logit 0 and value 0), "border" copies of the nearest cell, "mask" zeros too, but a place
            a whole cell or more outside has no weight. Closer ones keep theirs: they still read the edge.
        zero_start: start offsets and gamma at zero.
        sampling: how the same numbers are computed. "products" multiplies every query with every key, which is quicker
            on the grids of the bundled models; "gather" reads K keys and values for each query, O(N K C) as the paper.
    """

    window: Tensor

    def __init__(
        self,
        channels: int,
        window: tuple[int, int] = (9, 9),
        padding: Padding = "zeros",
        zero_start: bool = True,
        sampling: Sampling = "products",
    ) -> None:
        super().__init__()
        self.padding, self.sampling = padding, sampling
        self.register_buffer("window", window_offsets(window), persistent=False)
        self.query, self.key = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels, channels // 2, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.offset = nn.Conv2d(channels, 2 * len(self.window), 1)
        self.gamma = nn.Conv2d(channels, channels, 1)
        if zero_start:
            for layer in (self.offset, self.gamma):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `gamma(Y) + x`; the map "samples" keeps the K positions and weights of every cell."""
        grid = (x.shape[2], x.shape[3])
        query, key, value, offset = self.query(x), self.key(x), self.value(x), self.offset(x)
        with full_precision(query) as exact:  # bfloat16 would move the points by a quarter of a cell
            positions = self._positions(offset.to(exact.dtype), grid)
            exact, key, value = (part.to(exact.dtype).flatten(2).mT for part in (exact, key, value))
            gather = gather_samples if self.sampling == "gather" else gather_through_products
            gathered, weights = gather(exact, key, value, positions, grid, self.padding)
        context = gathered.mT.unflatten(2, grid).to(x.dtype)
        maps = tuple(
            (SampledAttention("samples", grid, places, shares, self.window),)
            for places, shares in zip(positions, weights, strict=True)
        )
        return Attended(self.gamma(context) + (x if residual is None else residual), context, maps)

    def _positions(self, offset: Tensor, grid: tuple[int, int]) -> Float[Tensor, "batch cells points 2"]:
        """`p + base_k + offset_k(p)` in (y, x) grid cells; the place on the edge that is read with "border"."""
        rows, columns = torch.meshgrid(*(torch.arange(size, device=offset.device) for size in grid), indexing="ij")
        cells = torch.stack((rows, columns), -1).flatten(0, 1)[:, None]
        positions: Tensor = offset.flatten(2).mT.unflatten(2, (-1, 2)) + cells + self.window
        if self.padding != "border":
            return positions
        sides = [
            torch.where(along < size - 1, along.clamp_min(0), float(size - 1))  # no slope at the edge, nor beyond
            for along, size in zip(positions.unbind(-1), grid, strict=True)
        ]
        return torch.stack(sides, -1)

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """Queries, keys and offsets."""
        return {self.query: SLOW, self.key: SLOW, self.offset: SLOW}

    def switch_off(self) -> None:
        """Afterwards the block returns its input."""
        zero(self.gamma.parameters())


class SparseNonLocalWithPooling(ContextBlock):
    """SNL and the global pooling branch: `cat[SNL(x), up(relu(conv(mean x)))]` (section 3.3); twice the channels."""

    def __init__(
        self,
        channels: int,
        window: tuple[int, int] = (9, 9),
        padding: Padding = "zeros",
        sampling: Sampling = "products",
    ) -> None:
        super().__init__()
        self.sparse = SparseNonLocal(channels, window, padding, sampling=sampling)
        self.pooled = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features of both branches, and SNL's context and map.

        The context is SNL's alone: a residual that is given is pooled in place of x.
        """
        attended, beside = self.sparse(x, residual), x if residual is None else residual
        pooled = self.pooled(beside.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return Attended(torch.cat((attended.features, pooled), 1), attended.context, attended.maps)

    def switch_off(self) -> None:
        """Afterwards the block returns its input beside zeros: both branches bring in other cells, so both are off."""
        self.sparse.switch_off()
        silence(self.pooled)


def window_offsets(window: tuple[int, int]) -> Float[Tensor, "points 2"]:
    """The (dy, dx) of a kh x kw neighbourhood, row by row; an even side reaches one cell further up or left (ours).

    Raises:
        ValueError: a side below 1.
    """
    if min(window) < 1:
        raise ValueError(f"window {window} has a side below 1; use for example (9, 9)")
    down, right = (range(-(size // 2), size - size // 2) for size in window)
    return torch.tensor(list(product(down, right)), dtype=torch.float32)
