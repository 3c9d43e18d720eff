"""Windows side by side: Swin, SAM and SAM 2, ViTDet, TinyViT, EfficientViT-M, Twins, DaViT, GC ViT, NesT."""

from __future__ import annotations

import math
from typing import Any

from segviz.attention.grid_map import Grid
from segviz.attention.windowed import window_places
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
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
    """Timm's Swin, Swin v2 and Swin v2 of Christoph Reich: rolled, then padded."""
    grid, module = local_sides(running), running.module
    if running.function not in ("_attn", "_shifted_window_attn") or grid is None:
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


def read_padded_windows(call: AttentionCall, running: RunningModule) -> Windows | None:
    """DaViT's windows, and those of Florence-2's encoder: padded, and never shifted."""
    sides = local_sides(running) or local_sides(running, "height", "width")
    if running.function != "forward" or sides is None:
        return None
    return cut_windows(sides, as_pair(running.module.window_size), (0, 0))


def read_gc_vit(call: AttentionCall, running: RunningModule) -> Windows | None:
    """GC ViT: windows that divide the grid; those of some blocks share their queries, which see the whole picture."""
    sides = local_sides(running)
    if running.function != "_window_attn" or sides is None:
        return None
    return cut_windows(sides, as_pair(running.module.window_size), (0, 0))


def read_nest(call: AttentionCall, running: RunningModule) -> Windows | None:
    """NesT: square blocks, on the last axis of the call's groups."""
    features = running.shape("x")
    if running.function != "forward" or features is None or len(features) != 4:
        return None
    level: Any = running.module
    blocks = math.isqrt(features[1])
    side, block = blocks * int(level.block_size), int(level.block_size)
    places = window_places((side, side), (block, block))
    return Windows((side, side), (side, side), places, places, (block, block), axis=1)


WINDOW_RECIPES = (
    LayoutRecipe(
        (
            "timm.models.swin_transformer.SwinTransformerBlock",
            "timm.models.swin_transformer_v2.SwinTransformerV2Block",
            "timm.models.swin_transformer_v2_cr.SwinTransformerV2CrBlock",
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
            "transformers.models.swin2sr.modeling_swin2sr.Swin2SRLayer",
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
    LayoutRecipe(
        (
            "timm.models.davit.SpatialBlock",
            "transformers.models.florence2.modeling_florence2.Florence2VisionWindowAttention",
        ),
        read_padded_windows,
    ),
    LayoutRecipe(("timm.models.gcvit.GlobalContextVitBlock",), read_gc_vit),
    LayoutRecipe(("timm.models.nest.NestLevel",), read_nest),
)
