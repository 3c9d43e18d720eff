"""Deformable attention, whose modules name their parts alike (Deformable DETR, ICLR 2021, and all that follow it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segviz.attention.level_samples import Levels
from segviz.watch.frames import RunningModule
from segviz.watch.recipes.recipe import DeclarationRecipe
from segviz.watch.sampled_call import SampledCall

LEVEL_NAMES = ("spatial_shapes_list", "input_spatial_shapes", "spatial_shapes")  # of rows and columns of each level


def read_sampling(module: nn.Module, values: Mapping[str, Any], running: Sequence[RunningModule]) -> SampledCall | None:
    """The points, once the last projection has run on what they gave."""
    names = ("value", "sampling_locations", "attention_weights", "output")
    tensors = [one for name in names if isinstance(one := values.get(name), Tensor)]
    levels = sides_of_levels(values)
    if levels is None or len(tensors) < len(names):
        return None
    sampled, places, weights, output = tensors
    count = len(levels)
    if places.dim() == 5:  # RT-DETR v2: levels and points on one axis
        places = places.unflatten(3, (count, -1))
    weights = weights.reshape(places.shape[:-1])
    sampled = sampled.reshape(*sampled.shape[:2], weights.shape[2], -1)
    references = values.get("reference_points")
    kept = references if isinstance(references, Tensor) and references.dim() == 4 else None
    return SampledCall(sampled, places, weights, output, levels, kept)


def sides_of_levels(values: Mapping[str, Any]) -> Levels | None:
    """Rows and columns of each level, from whichever local variable has them."""
    shapes = next((values[name] for name in LEVEL_NAMES if values.get(name) is not None), None)
    if isinstance(shapes, Tensor):
        shapes = shapes.tolist()
    return None if shapes is None else tuple((int(rows), int(columns)) for rows, columns in shapes)


DEFORMABLE_RECIPES = (
    DeclarationRecipe(
        (
            "transformers.models.deformable_detr.modeling_deformable_detr.DeformableDetrMultiscaleDeformableAttention",
            "transformers.models.mask2former.modeling_mask2former."
            "Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention",
            "transformers.models.oneformer.modeling_oneformer.OneFormerPixelDecoderEncoderMultiscaleDeformableAttention",
            "transformers.models.rt_detr.modeling_rt_detr.RTDetrMultiscaleDeformableAttention",
            "transformers.models.rt_detr_v2.modeling_rt_detr_v2.RTDetrV2MultiscaleDeformableAttention",
            "transformers.models.lw_detr.modeling_lw_detr.LwDetrMultiscaleDeformableAttention",
            "transformers.models.rf_detr.modeling_rf_detr.RfDetrMultiscaleDeformableAttention",
            "*.MSDeformAttn",  # the authors' Deformable DETR and Mask2Former
        ),
        ("linear",),
        read_sampling,
    ),
)
