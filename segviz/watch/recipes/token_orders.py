"""Tokens that are not row by row: Hiera, LW-DETR, RF-DETR, EoMT, YOLOS, Segmenter's decoder, Next-ViT, ViT-MAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from segviz.attention.grid_map import Grid
from segviz.attention.windowed import window_places
from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule, is_one_of
from segviz.watch.grids import DECLARE_IT, NotShownError
from segviz.watch.layout import TokenLayout, Tokens, Windows, order_tokens
from segviz.watch.recipes.recipe import LayoutRecipe
from segviz.watch.recipes.windows import as_pair, local_sides

LW_DETR = "transformers.models.lw_detr.modeling_lw_detr.LwDetrViT"
RF_DETR = "transformers.models.rf_detr.modeling_rf_detr.RfDetrDinov2"
MAE = "transformers.models.vit_mae.modeling_vit_mae.ViTMAE"


def running_in(call: AttentionCall, *module_types: str) -> RunningModule | None:
    """The innermost running function of a module of one of these classes."""
    return next((one for one in call.running if is_one_of(one.module, module_types)), None)


def patch_grid(whole: RunningModule | None, patch: str, unknown: str) -> Grid:
    """Rows and columns of the patches of a running network of transformers, whose configuration names their side.

    Raises:
        NotShownError: it is not running, or not on a picture.
    """
    picture = None if whole is None else whole.shape("pixel_values")
    if whole is None or picture is None:
        raise NotShownError(f"{unknown}; watch the whole network")
    settings: Any = whole.module.config
    down, along = as_pair(getattr(settings, patch))
    return picture[-2] // down, picture[-1] // along


def off_picture(count: int) -> Tensor:
    """The places of tokens that are not in the picture."""
    return torch.full((count,), -1)


def read_hiera(call: AttentionCall, running: RunningModule) -> TokenLayout | None:
    """Hiera: tokens are ordered so that those which are pooled together lie apart by strides (see its `unroll`).

    Raises:
        NotShownError: the whole Hiera is not watched, or its tokens do not fit.
    """
    if running.function != "forward":
        return None
    attention: Any = running.module
    grid, start = mask_unit_order(call)
    keys, key_grid = coarsen(start, grid, call.leading, call.key_tokens)
    queries, query_grid = coarsen(start, grid, call.leading, call.tokens)
    if not attention.use_mask_unit_attn:
        return order_tokens(query_grid, queries, key_grid, keys)
    places = [one.reshape(-1, call.leading[2]).T for one in (queries, keys)]
    tokens = tuple(queries.argsort().tolist())
    return Windows(query_grid, key_grid, places[0], places[1], axis=1, cell_tokens=tokens)


def mask_unit_order(call: AttentionCall) -> tuple[Grid, Tensor]:
    """The grid of a Hiera's patches, and the cell of each patch in the order of its tokens.

    Raises:
        NotShownError: the whole Hiera is not watched.
    """
    whole = running_in(call, "timm.models.hiera.Hiera", "transformers.models.hiera.modeling_hiera.HieraModel")
    model: Any = None if whole is None else whole.module
    if whole is not None and hasattr(model, "unroll"):  # timm's
        grid = as_pair(model.unroll.size)
        return grid, unroll(grid, model.unroll.schedule)
    grid = patch_grid(whole, "patch_stride", "the order of its tokens is known to the whole Hiera only")
    return grid, unroll(grid, model.unroll_schedule)


def unroll(grid: Grid, schedule: Sequence[Sequence[int]]) -> Tensor:
    """The cells in Hiera's order: those at the same offset within every stride, stride after stride."""
    cells = torch.arange(grid[0] * grid[1]).reshape(1, *grid)
    for down, along in schedule:
        cells = cells.unflatten(2, (-1, along)).unflatten(1, (-1, down))  # (groups, rows, down, columns, along)
        cells = cells.permute(0, 2, 4, 1, 3).flatten(0, 2)
    return cells.flatten()


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


def read_lw_detr(call: AttentionCall, running: RunningModule) -> TokenLayout:
    """LW-DETR's encoder: tokens stay in the order of the windows; some layers attend within them, others globally.

    Raises:
        NotShownError: the whole backbone is not watched.
    """
    backbone = running_in(call, f"{LW_DETR}Backbone")
    grid = None if backbone is None else local_sides(backbone, "height", "width")
    if backbone is None or grid is None:
        raise NotShownError("the order of its tokens is known to the whole backbone only; watch the whole network")
    layer: Any = running.module
    settings: Any = backbone.module.config
    side = int(settings.num_windows_side)
    places = window_places(grid, (grid[0] // side, grid[1] // side))
    return in_windows(grid, places, side, whole=not layer.window)


def read_rf_detr(call: AttentionCall, running: RunningModule) -> TokenLayout | None:
    """RF-DETR's encoder: as LW-DETR's, and each window begins with a class token of its own.

    Raises:
        NotShownError: the whole backbone is not watched.
    """
    layer: Any = running.module
    if layer.num_windows == 1:
        return None
    backbone = running_in(call, f"{RF_DETR}Backbone")
    grid = patch_grid(backbone, "patch_size", "the order of its tokens is known to the whole backbone only")
    side = int(layer.num_windows)
    if grid[0] != grid[1]:
        raise NotShownError(
            f"its windows mix the sides of a grid of {grid[0]} x {grid[1]} patches; watch it with a square picture"
        )
    places = window_places(grid, (grid[0] // side, grid[1] // side))
    places = torch.cat([off_picture(len(places))[:, None], places], 1)
    return in_windows(grid, places, side, whole=layer.global_attention)


def in_windows(grid: Grid, places: Tensor, side: int, *, whole: bool) -> TokenLayout:
    """The layout of tokens in the order of windows, side x side of them, by a layer that looks at the whole or not."""
    if whole:
        return order_tokens(grid, places.flatten())
    return Windows(grid, grid, places, places, (grid[0] // side, grid[1] // side))


def read_encoder_with_queries(call: AttentionCall, running: RunningModule) -> Tokens:
    """EoMT: its last blocks have object queries before the class and register tokens and the patches (CVPR 2025)."""
    rows, columns = running.module.grid_size  # type: ignore[misc]
    grid, prefix = (int(rows), int(columns)), call.tokens - int(rows) * int(columns)
    return Tokens(grid, grid, prefix, prefix)


def read_yolos(call: AttentionCall, running: RunningModule) -> Tokens:
    """YOLOS: a class token, the patches, and detection tokens after them (NeurIPS 2021).

    Raises:
        NotShownError: the whole network is not watched.
    """
    whole = running_in(call, "transformers.models.yolos.modeling_yolos.YolosModel")
    grid = patch_grid(whole, "patch_size", "the number of its patches is known to the whole YOLOS only")
    return order_tokens(grid, surround(grid, 1, call.tokens - 1 - grid[0] * grid[1]))


def read_segmenter(call: AttentionCall, running: RunningModule) -> Tokens | None:
    """Segmenter's decoder (the authors' `MaskTransformer`): a token for each class after the patches (ICCV 2021)."""
    classes, rows = getattr(running.module, "n_cls", None), running.values.get("GS")
    if not isinstance(classes, int) or not isinstance(rows, int) or rows < 1 or (call.tokens - classes) % rows:
        return None
    grid = rows, (call.tokens - classes) // rows
    return order_tokens(grid, surround(grid, 0, classes))


def read_next_vit(call: AttentionCall, running: RunningModule) -> Tokens | None:
    """Next-ViT: a key is the mean of a run of cells in reading order, so each of these cells has a part of its weight.

    Raises:
        NotShownError: the runs leave out cells.
    """
    grid = local_sides(running)
    if running.function != "forward" or grid is None or call.key_tokens == call.tokens:
        return None
    length, left = divmod(call.tokens, call.key_tokens)
    attention: Any = running.module.e_mhsa
    if left or length != attention.N_ratio:
        raise NotShownError(f"its keys are runs of {attention.N_ratio} cells, which leave out some; {DECLARE_IT}")
    return Tokens(grid, grid, key_order=torch.arange(call.key_tokens).repeat_interleave(length))


def surround(grid: Grid, before: int, after: int) -> Tensor:
    """The places of the cells row by row, between tokens that are not in the picture."""
    return torch.cat([off_picture(before), torch.arange(grid[0] * grid[1]), off_picture(after)])


def refuse_masked(call: AttentionCall, running: RunningModule) -> TokenLayout | None:
    """ViT-MAE's encoder: it sees a random part of the patches, in random order.

    Raises:
        NotShownError: always.
    """
    raise NotShownError(
        "it sees a random part of the patches in random order; transformers.ViTModel.from_pretrained reads the same "
        "weights, and sees all patches in order"
    )


TOKEN_ORDER_RECIPES = (
    LayoutRecipe(
        ("timm.models.hiera.MaskUnitAttention", "transformers.models.hiera.modeling_hiera.HieraMaskUnitAttention"),
        read_hiera,
    ),
    LayoutRecipe((f"{LW_DETR}Layer",), read_lw_detr),
    LayoutRecipe((f"{RF_DETR}Layer",), read_rf_detr),
    LayoutRecipe(
        (
            "transformers.models.eomt.modeling_eomt.EomtForUniversalSegmentation",
            "transformers.models.eomt_dinov3.modeling_eomt_dinov3.EomtDinov3ForUniversalSegmentation",
        ),
        read_encoder_with_queries,
    ),
    LayoutRecipe(("transformers.models.yolos.modeling_yolos.YolosLayer",), read_yolos),
    LayoutRecipe(("*.MaskTransformer",), read_segmenter),
    LayoutRecipe(("timm.models.nextvit.NextTransformerBlock",), read_next_vit),
    LayoutRecipe((f"{MAE}Model",), refuse_masked),
)
