"""Linear attention of library modules: EfficientViT's and MobileViTv2's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segviz.watch.frames import RunningModule, is_one_of
from segviz.watch.recipes.recipe import DeclarationRecipe
from segviz.watch.recipes.spread_windows import patch_positions
from segviz.watch.recipes.windows import local_sides
from segviz.watch.record import Declaration

MOBILEVIT_V2 = (
    "timm.models.mobilevit.MobileVitV2Block",
    "transformers.models.mobilevitv2.modeling_mobilevitv2.MobileViTV2Layer",
)


def read_lite_attention(
    module: nn.Module, values: Mapping[str, Any], running: Sequence[RunningModule]
) -> Declaration | None:
    """EfficientViT's `LiteMLA`: relu(q) relu(k), a head for each scale and group of channels (ICCV 2023, eq. 2)."""
    queries, keys = values.get("q"), values.get("k")
    if "kv" not in values or not isinstance(queries, Tensor) or not isinstance(keys, Tensor):
        return None
    grid = next((local_sides(one) for one in running if one.module is module and one.function == "forward"), None)
    return Declaration(queries, keys, grid=grid, kind="linear", epsilon=float(module.eps))  # type: ignore[arg-type]


def read_separable_attention(
    module: nn.Module, values: Mapping[str, Any], running: Sequence[RunningModule]
) -> Declaration | None:
    """MobileViTv2's separable attention: one score for each token (Mehta and Rastegari, TMLR 2023, section 3).

    The pixels at one position of all patches share their scores, so the features of a cell are its position.
    """
    scores = values.get("query")
    places = next((patch_positions(one) for one in running if is_one_of(one.module, MOBILEVIT_V2)), None)
    if places is None or not isinstance(scores, Tensor) or scores.dim() != 4 or len(scores) != 1:
        return None
    (grid, cells), weights = places, scores[0, 0].detach().softmax(-1).cpu()  # (positions, patches)
    positions = torch.arange(len(cells))[:, None].expand(cells.shape)
    queries = torch.zeros(1, grid[0] * grid[1], len(cells))
    keys = torch.zeros_like(queries)
    queries[0, cells, positions] = 1
    keys[0, cells, positions] = weights.float()
    return Declaration(queries, keys, grid=grid, kind="linear")


LINEAR_RECIPES = (
    DeclarationRecipe(("timm.models.efficientvit_mit.LiteMLA",), ("matmul", "__matmul__"), read_lite_attention),
    DeclarationRecipe(
        (
            "timm.models.mobilevit.LinearSelfAttention",
            "transformers.models.mobilevitv2.modeling_mobilevitv2.MobileViTV2LinearSelfAttention",
        ),
        ("softmax",),
        read_separable_attention,
    ),
)
