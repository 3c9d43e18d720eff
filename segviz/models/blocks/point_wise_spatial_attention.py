"""Point-wise spatial attention (PSANet, ECCV 2018, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from segviz.attention.maps import Attended, MaskDirection, OffsetMaskAttention
from segviz.models.blocks.context_block import ContextBlock, silence
from segviz.models.blocks.layers import conv_bn_relu

Outside = Literal["unseen", "zero"]
Shrinking = Literal["corners", "parity"]
# Factors on the learning rate of what predicts the masks: queries' slow rate leaves them even, and a faster one lets
# a cell collect from itself, which the loss on the context rewards.
MASK_RATES: Mapping[str, float] = {"collect": 0.3, "distribute": 1.0}


class PointWiseBranch(nn.Module):
    """One direction: each cell predicts a mask over relative positions, which moves the features (eq. 8-9).

    collect: `E[i, j] = h_i[j - i]`, the target's mask; distribute: `E[i, j] = h_j[i - j]`, the source's.

    Args:
        channels: input channels.
        inner: channels of the reduced features that are moved.
        mask_size: (height, width) of the predicted mask, (2H-1, 2W-1) for a full H x W map; for a compact mask
            (H, W), absolute positions of a map of just that size. An even side, as mmsegmentation's networks for
            ADE20K have it, reaches one cell further down, or right, and goes with `outside="zero"` only.
        direction: "collect" or "distribute".
        compact: predict a mask of absolute positions (the paper's Table 1).
        outside: cells beyond the mask's reach on a larger map: "unseen" gives them no weight, "zero" the
            logit 0 that the released code leaves there.
        softmax: normalise over sources, as all released configurations do; else divide by `norm`, as eq. 8 does by N.
        norm: the divisor where there is no softmax; the number of cells, as the paper prints, by default.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        mask_size: tuple[int, int],
        direction: MaskDirection,
        compact: bool = False,
        outside: Outside = "unseen",
        softmax: bool = True,
        norm: float | None = None,
    ) -> None:
        super().__init__()
        if not compact and outside != "zero" and not all(size % 2 for size in mask_size):
            raise ValueError(f"mask_size {mask_size} must be odd on both sides, 2H-1 x 2W-1 for an H x W map")
        self.mask_size, self.direction, self.compact = mask_size, direction, compact
        self.outside, self.softmax, self.norm = outside, softmax, norm
        self.reduce = conv_bn_relu(channels, inner)
        self.mask = nn.Sequential(
            conv_bn_relu(inner, inner), nn.Conv2d(inner, mask_size[0] * mask_size[1], 1, bias=False)
        )

    def forward(
        self, x: Float[Tensor, "batch channels height width"], size: tuple[int, int], corners: bool = True
    ) -> Attended:
        """The features moved along the masks on a grid of `size`; the map is named after the direction.

        With `corners`, the grid's corner cells lie on those of x; without, both grids divide the picture evenly.
        """
        reduced = F.interpolate(self.reduce(x), size, mode="bilinear", align_corners=corners)
        masks = self._windows(self.mask(reduced).float() if reduced.dtype != torch.float64 else self.mask(reduced))
        energy = masks if self.direction == "collect" else masks.mT
        cells = reduced.flatten(2).mT
        moved = self._normalise(energy).to(cells.dtype) @ cells
        context = moved.mT.unflatten(2, size)
        divisor = None if self.softmax else float(self.norm or size[0] * size[1])
        full = (x.shape[2], x.shape[3]) if corners else None
        maps = tuple(
            (OffsetMaskAttention(self.direction, size, mask, self.direction, divisor, full),) for mask in masks
        )
        return Attended(context, context, maps)

    def _normalise(self, energy: Tensor) -> Tensor:
        if self.softmax:
            return energy.softmax(2)
        return energy.masked_fill(energy.isinf(), 0) / (self.norm or energy.shape[2])

    def _windows(self, mask: Float[Tensor, "batch positions height width"]) -> Float[Tensor, "batch cells cells"]:
        """Of each cell's mask, the window that falls on the grid: `windows[p, j] = h_p[j - p]`."""
        grid = (mask.shape[2], mask.shape[3])
        own = mask.flatten(2).mT
        if self.compact:
            if grid != self.mask_size:
                raise ValueError(
                    f"a compact mask of {self.mask_size} cannot serve a {grid} grid; "
                    "show the picture at the size of training (--input-size), or slide crops of that size"
                )
            return own
        index, reached = window_index(grid, self.mask_size, mask.device)
        windows = own.gather(2, index.expand(len(own), -1, -1))
        return windows.masked_fill(~reached, -torch.inf if self.outside == "unseen" else 0)


class PointWiseSpatialAttention(ContextBlock):
    """Collect and distribute side by side: `cat[x, CBR(cat[z_collect, z_distribute])]`, twice the channels.

    Args:
        channels: input channels; the output has twice as many.
        inner: channels that each branch moves.
        mask_size: see PointWiseBranch; for compact masks the shrunk grid's size.
        directions: which branches there are.
        shrink: the branches work on a grid of `(H - 1) // shrink + 1` rows, and as many columns.
        compact, outside, softmax, norm: see PointWiseBranch.
        shrinking: "corners" is the authors' way; "parity" is mmsegmentation's: the same where neither side is a
            multiple of `shrink`, else `H // shrink` rows that divide the picture evenly.
        padding: a border of zeros that the projection adds; mmsegmentation's has 1, and stretches it with the rest.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        mask_size: tuple[int, int],
        directions: tuple[MaskDirection, ...] = ("collect", "distribute"),
        shrink: int = 2,
        compact: bool = False,
        outside: Outside = "unseen",
        softmax: bool = True,
        norm: float | None = None,
        shrinking: Shrinking = "corners",
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.shrink, self.shrinking = shrink, shrinking
        self.mask_size, self.compact = mask_size, compact
        self.branches = nn.ModuleDict(
            {
                direction: PointWiseBranch(channels, inner, mask_size, direction, compact, outside, softmax, norm)
                for direction in directions
            }
        )
        self.project = conv_bn_relu(inner * len(directions), channels)
        self.project[0].padding = (padding, padding)  # type: ignore[assignment]

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        residual: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Attended:
        """Features `cat[x, z]` with z grown back to the input's size; maps "collect", "distribute"."""
        full = (x.shape[2], x.shape[3])
        small, corners = self.shrunk_grid(full)
        moved = [branch(x, small, corners) for branch in self.branches.values()]
        projected = self.project(torch.cat([branch.features for branch in moved], 1))
        context = F.interpolate(projected, full, mode="bilinear", align_corners=corners)
        maps = tuple(sum(image, ()) for image in zip(*(branch.maps for branch in moved), strict=True))
        beside = x if residual is None else residual
        return Attended(torch.cat((beside, context), 1), context, maps)

    @property
    def only_grid(self) -> tuple[int, int] | None:
        """What compact masks cover: they are of absolute places, so they serve one grid."""
        if not self.compact:
            return None
        rows, columns = ((side - 1) * self.shrink + 1 for side in self.mask_size)
        return rows, columns

    def shrunk_grid(self, full: tuple[int, int]) -> tuple[tuple[int, int], bool]:
        """The branches' grid for an input of `full` rows and columns, and whether their corner cells coincide."""
        if self.shrinking == "parity" and not all(side % self.shrink for side in full) and self.shrink > 1:
            return (full[0] // self.shrink, full[1] // self.shrink), False
        return ((full[0] - 1) // self.shrink + 1, (full[1] - 1) // self.shrink + 1), True

    def attention_layers(self) -> Mapping[nn.Module, float]:
        """What predicts each branch's mask."""
        return {branch.get_submodule("mask"): MASK_RATES[name] for name, branch in self.branches.items()}

    def switch_off(self) -> None:
        """Afterwards the block returns its input beside zeros."""
        silence(self.project)


def window_index(
    grid: tuple[int, int], mask_size: tuple[int, int], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """For every pair of cells (p, j) the mask channel of offset j - p, and whether the mask reaches it.

    The centre channel is offset 0, so a mask larger than 2H-1 x 2W-1 gives its centre crop (eq. 9).
    """
    rows, columns = torch.meshgrid(*(torch.arange(size, device=device) for size in grid), indexing="ij")
    row, column = rows.flatten(), columns.flatten()
    down = row[None, :] - row[:, None] + (mask_size[0] - 1) // 2
    along = column[None, :] - column[:, None] + (mask_size[1] - 1) // 2
    reached = (down >= 0) & (down < mask_size[0]) & (along >= 0) & (along < mask_size[1])
    return (down.clamp(0, mask_size[0] - 1) * mask_size[1] + along.clamp(0, mask_size[1] - 1)), reached
