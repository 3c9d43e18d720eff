"""Windows whose cells lie apart, or that overlap: MobileViT, MaxViT, HaloNet."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.windowed import spread_window_places, window_places
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
from segviz.watch.layout import Windows
from segviz.watch.recipes.recipe import LayoutRecipe
from segviz.watch.recipes.windows import as_pair, cut_windows, local_sides


def read_mobilevit(call: AttentionCall, running: RunningModule) -> Windows | None:
    """MobileViT: the pixels at one position of all patches attend to each other."""
    places = patch_positions(running)
    if places is None:
        return None
    grid, cells = places
    return Windows(grid, grid, cells, cells)


def patch_positions(running: RunningModule) -> tuple[Grid, Tensor] | None:
    """The grid, and the cell (positions in a patch, patches) of each token, of a running MobileViT block."""
    if running.function != "forward":
        return None
    features, tokens = running.shape("features"), running.shape("patches")
    if features is not None and tokens is not None and len(features) == 4:  # transformers, which unfolds elsewhere
        block: Any = running.module
        return position_cells(as_pair(features[2:]), as_pair((block.patch_height, block.patch_width)), tokens)
    patches = local_sides(running, "num_patch_h", "num_patch_w")
    sides = local_sides(running, "patch_h", "patch_w")
    if patches is None or sides is None:
        return None
    grid = patches[0] * sides[0], patches[1] * sides[1]
    return grid, spread_window_places(grid, patches)


def position_cells(grid: Grid, sides: Grid, tokens: tuple[int, ...]) -> tuple[Grid, Tensor] | None:
    """The same in transformers: where patches do not divide the grid, v1 enlarges it, and v2 drops what is left over.

    Args:
        grid: rows and columns of the features.
        sides: those of a patch.
        tokens: the shape of all tokens, one axis of which is as long as there are patches.
    """
    more = [-(-size // side) for size, side in zip(grid, sides, strict=True)]
    if more[0] * more[1] in tokens:
        grid = more[0] * sides[0], more[1] * sides[1]
        return grid, spread_window_places(grid, as_pair(more))
    less = grid[0] // sides[0], grid[1] // sides[1]
    if less[0] * less[1] not in tokens:
        return None
    covered = less[0] * sides[0], less[1] * sides[1]
    cells = torch.arange(grid[0] * grid[1]).reshape(grid)[: covered[0], : covered[1]]
    return grid, cells.flatten()[spread_window_places(covered, less)]


def spread_windows(grid: Grid, spread: Grid) -> Windows:
    """Windows of so many rows and columns of cells, which lie evenly over the whole grid."""
    places = spread_window_places(grid, spread)
    return Windows(grid, grid, places, places)


def read_timm_maxvit(call: AttentionCall, running: RunningModule) -> Windows | None:
    """MaxViT of timm: blocks are windows side by side, grids are windows that are spread (ECCV 2022, section 3.2)."""
    grid, module = running.shape("img_size"), running.module
    if running.function != "_partition_attn" or grid is None or len(grid) != 2:
        return None
    size = as_pair(module.partition_size)
    in_blocks = getattr(module, "partition_block", not call.path.endswith("attn_grid"))  # some compute both
    return cut_windows(as_pair(grid), size, (0, 0)) if in_blocks else spread_windows(as_pair(grid), size)


def read_torchvision_maxvit(call: AttentionCall, running: RunningModule) -> Windows:
    """The same of torchvision."""
    layer: Any = running.module
    grid = as_pair(layer.grid_size)
    if layer.partition_type == "window":
        return cut_windows(grid, as_pair(layer.p), (0, 0))
    return spread_windows(grid, as_pair(layer.g))


def read_halo(call: AttentionCall, running: RunningModule) -> Windows | None:
    """HaloNet: each block looks at itself and at a border around it (Vaswani et al., CVPR 2021, section 2.1)."""
    sides = local_sides(running)
    if running.function != "forward" or sides is None:
        return None
    layer: Any = running.module
    block, border = int(layer.block_size), int(layer.halo_size)
    cells = torch.arange(sides[0] * sides[1]).reshape(sides)
    around = F.pad(cells, [border] * 4, value=-1)
    keys = around.unfold(0, block + 2 * border, block).unfold(1, block + 2 * border, block).flatten(2).flatten(0, 1)
    own = int(layer.block_size_ds)
    grid = sides[0] * own // block, sides[1] * own // block
    return Windows(grid, sides, window_places(grid, (own, own)), keys, (own, own), axis=1)


SPREAD_WINDOW_RECIPES = (
    LayoutRecipe(
        ("timm.models.mobilevit.MobileVitBlock", "transformers.models.mobilevit.modeling_mobilevit.MobileViTLayer"),
        read_mobilevit,
    ),
    LayoutRecipe(
        (
            "timm.models.maxxvit.PartitionAttentionCl",
            "timm.models.maxxvit.PartitionAttention2d",
            "timm.models.maxxvit.ParallelPartitionAttention",
        ),
        read_timm_maxvit,
    ),
    LayoutRecipe(("torchvision.models.maxvit.PartitionAttentionLayer",), read_torchvision_maxvit),
    LayoutRecipe(("timm.layers.halo_attn.HaloAttn",), read_halo),
)
