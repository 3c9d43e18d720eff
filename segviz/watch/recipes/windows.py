"""Windows of library modules: Swin, SAM and SAM 2, ViTDet, TinyViT, EfficientViT-M, Twins, Hiera, MobileViT."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.windowed import window_places
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
from segviz.watch.grids import DECLARE_IT, NotShownError
from segviz.watch.layout import Windows
from segviz.watch.recipes.recipe import LayoutRecipe


def as_pair(value: Any) -> Grid:
    """A number, or a pair of numbers, as a pair."""
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def local_sides(running: RunningModule, height: str = "H", width: str = "W") -> Grid | None:
    """Two local numbers of a running function."""
    sides = running.values.get(height), running.values.get(width)
    return (sides[0], sides[1]) if isinstance(sides[0], int) and isinstance(sides[1], int) else None


def cut_windows(grid: Grid, window: Grid, shift: Grid, *, roll_first: bool = False) -> Windows:
    """Windows in which queries and keys are the same cells."""
    places = window_places(grid, window, shift, roll_first=roll_first)
    return Windows(grid, grid, places, places, window, shift)


def read_timm_swin(call: AttentionCall, running: RunningModule) -> Windows | None:
    """Timm's Swin and Swin v2: rolled, then padded."""
    grid, module = local_sides(running), running.module
    if running.function != "_attn" or grid is None:
        return None
    return cut_windows(grid, as_pair(module.window_size), as_pair(module.shift_size), roll_first=True)


def read_torchvision_swin(call: AttentionCall, running: RunningModule) -> Windows | None:
    """Torchvision's Swin and Swin v2: padded, then rolled; a window of a whole side is not shifted."""
    grid, window, shift = local_sides(running), running.shape("window_size"), running.shape("shift_size")
    if running.function != "shifted_window_attention" or grid is None or window is None or shift is None:
        return None
    return cut_windows(grid, as_pair(window), as_pair(shift))


def read_transformers_swin(call: AttentionCall, running: RunningModule) -> Windows | None:
    """The Swin layers of transformers: padded, then rolled."""
    grid, module = local_sides(running, "height", "width"), running.module
    if running.function != "forward" or grid is None:
        return None
    return cut_windows(grid, as_pair(module.window_size), as_pair(module.shift_size))


def read_segment_anything(call: AttentionCall, running: RunningModule) -> Windows | None:
    """The blocks of the encoders of SAM, SAM-HQ, SAM 3 and ViTDet: some have windows, and the others are global."""
    size = as_pair(running.module.window_size)
    grid = local_sides(running) or local_sides(running, "height", "width")
    if running.function != "forward" or size == (0, 0) or grid is None:
        return None
    return cut_windows(grid, size, (0, 0))


def read_segment_anything_2(call: AttentionCall, running: RunningModule) -> Windows | None:
    """The blocks of SAM 2's encoder: as SAM's, and where a stage begins, queries are pooled within their windows."""
    module: Any = running.module
    layout = read_segment_anything(call, running)
    stride = getattr(module, "q_stride", None) or getattr(module, "query_stride", None)
    if layout is None or not stride:
        return layout
    steps = as_pair(stride)
    grid, window = ((side[0] // steps[0], side[1] // steps[1]) for side in (layout.grid, layout.window))
    return Windows(grid, layout.key_grid, window_places(grid, window), layout.key_places, window)


def read_tiny_vit(call: AttentionCall, running: RunningModule) -> Windows | None:
    """TinyViT's and EfficientViT-M's blocks: padded, and one window where that is the whole grid."""
    grid = local_sides(running)
    window = running.values.get("ws") or getattr(running.module, "window_size", None)
    if running.function != "forward" or grid is None or window is None:
        return None
    return cut_windows(grid, as_pair(window), (0, 0))


def read_twins(call: AttentionCall, running: RunningModule) -> Windows | None:
    """Twins' locally grouped attention."""
    grid = local_sides(running)
    return None if grid is None else cut_windows(grid, as_pair(running.module.ws), (0, 0))


def read_mobilevit(call: AttentionCall, running: RunningModule) -> Windows | None:
    """MobileViT: the pixels at one position of all patches attend to each other."""
    places = patch_positions(running)
    if places is None:
        return None
    grid, cells = places
    return Windows(grid, grid, cells, cells)


def patch_positions(running: RunningModule) -> tuple[Grid, Tensor] | None:
    """The grid, and the cell (positions in a patch, patches) of each token, of a running MobileViT block."""
    patches = local_sides(running, "num_patch_h", "num_patch_w")
    sides = local_sides(running, "patch_h", "patch_w")
    if running.function != "forward" or patches is None or sides is None:
        return None
    return position_cells(patches, sides)


def position_cells(patches: Grid, sides: Grid) -> tuple[Grid, Tensor]:
    """The same from the number of patches and their sides."""
    grid = patches[0] * sides[0], patches[1] * sides[1]
    cells = torch.arange(grid[0] * grid[1]).reshape(patches[0], sides[0], patches[1], sides[1])
    return grid, cells.permute(1, 3, 0, 2).reshape(sides[0] * sides[1], patches[0] * patches[1])


def read_hiera(call: AttentionCall, running: RunningModule) -> Windows | None:
    """Hiera: tokens are ordered so that those which are pooled together lie apart by strides, see its `Unroll`.

    Raises:
        NotShownError: the whole Hiera is not watched, or its tokens do not fit.
    """
    if running.function != "forward":
        return None
    attention: Any = running.module
    network: Any = call.running[-1].module
    if not hasattr(network, "unroll"):
        raise NotShownError("the order of its tokens is known to the whole Hiera only; watch the whole network")
    rows, columns = (int(side) for side in network.unroll.size)
    start = network.unroll(torch.arange(rows * columns, dtype=torch.float64).reshape(1, -1, 1)).reshape(-1).long()
    keys, key_grid = coarsen(start, (rows, columns), call.leading, call.key_tokens)
    queries, grid = coarsen(start, (rows, columns), call.leading, call.tokens)
    count = call.leading[2] if attention.use_mask_unit_attn else 1
    places = [one.reshape(-1, count).T for one in (queries, keys)]
    return Windows(grid, key_grid, places[0], places[1], axis=1)


def coarsen(start: Tensor, grid: Grid, leading: tuple[int, ...], tokens: int) -> tuple[Tensor, Grid]:
    """The cells of tokens that were pooled 2 x 2, perhaps again, and the grid of these cells.

    Raises:
        NotShownError: the tokens are not a pooling of the cells.
    """
    total = tokens * (leading[2] if len(leading) > 2 else 1)
    rows, columns = start[:total] // grid[1], start[:total] % grid[1]
    left = grid[0] * grid[1]
    while left > total:
        rows, columns, grid, left = rows // 2, columns // 2, (grid[0] // 2, grid[1] // 2), left // 4
    if left != total:
        raise NotShownError(f"its {total} tokens are not a pooling of the {len(start)} patches; {DECLARE_IT}")
    return rows * grid[1] + columns, grid


WINDOW_RECIPES = (
    LayoutRecipe(
        (
            "timm.models.swin_transformer.SwinTransformerBlock",
            "timm.models.swin_transformer_v2.SwinTransformerV2Block",
        ),
        read_timm_swin,
    ),
    LayoutRecipe(("torchvision.models.swin_transformer.ShiftedWindowAttention",), read_torchvision_swin),
    LayoutRecipe(
        (
            "transformers.models.swin.modeling_swin.SwinLayer",
            "transformers.models.swinv2.modeling_swinv2.Swinv2Layer",
            "transformers.models.maskformer.modeling_maskformer_swin.MaskFormerSwinLayer",
            "transformers.models.donut.modeling_donut_swin.DonutSwinLayer",
        ),
        read_transformers_swin,
    ),
    LayoutRecipe(
        (
            "timm.models.vision_transformer_sam.Block",
            "transformers.models.sam.modeling_sam.SamVisionLayer",
            "transformers.models.sam_hq.modeling_sam_hq.SamHQVisionLayer",
            "transformers.models.sam3.modeling_sam3.Sam3ViTLayer",
            "transformers.models.vitdet.modeling_vitdet.VitDetLayer",
        ),
        read_segment_anything,
    ),
    LayoutRecipe(
        (
            "timm.models.hieradet_sam2.MultiScaleBlock",
            "transformers.models.sam2.modeling_sam2.Sam2MultiScaleBlock",
        ),
        read_segment_anything_2,
    ),
    LayoutRecipe(
        ("timm.models.tiny_vit.TinyVitBlock", "timm.models.efficientvit_msra.LocalWindowAttention"), read_tiny_vit
    ),
    LayoutRecipe(("timm.models.twins.LocallyGroupedAttn",), read_twins),
    LayoutRecipe(("timm.models.mobilevit.MobileVitBlock",), read_mobilevit),
    LayoutRecipe(("timm.models.hiera.MaskUnitAttention",), read_hiera),
)
