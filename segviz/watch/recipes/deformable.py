"""Deformable attention, whose modules name their parts alike (Deformable DETR, ICLR 2021, and all that follow it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segviz.attention.level_samples import Levels
from segviz.watch.frames import RunningModule
from segviz.watch.recipes.recipe import RESULT, DeclarationRecipe
from segviz.watch.sampled_call import SampledCall

LEVEL_NAMES = ("spatial_shapes_list", "input_spatial_shapes", "spatial_shapes")  # of rows and columns of each level


def read_sampling(module: nn.Module, values: Mapping[str, Any], running: Sequence[RunningModule]) -> SampledCall | None:
    """The points, once the last projection has run on what they gave."""
    return sampled_call(module, values, values.get("output"))


def read_sampling_alone(
    module: nn.Module, values: Mapping[str, Any], running: Sequence[RunningModule]
) -> SampledCall | None:
    """D-FINE's and DEIMv2's, which have no last projection: its sum over points ends with `contiguous`."""
    output, locations = values[RESULT], values.get("sampling_locations")
    if not isinstance(output, Tensor) or not isinstance(locations, Tensor) or output.dim() != 3:
        return None
    return sampled_call(module, values, output) if output.shape[1] == locations.shape[1] else None


def sampled_call(module: nn.Module, values: Mapping[str, Any], output: object) -> SampledCall | None:
    """The call of the local variables, by the names that all authors use; None where it is not complete yet."""
    names = ("value", "sampling_locations", "attention_weights")
    tensors = [one for name in names if isinstance(one := values.get(name), Tensor)]
    levels = sides_of_levels(values)
    if levels is None or len(tensors) < len(names) or not isinstance(output, Tensor):
        return None
    sampled, places, weights = tensors
    if places.dim() == 5:  # RT-DETR v2 and D-FINE: levels and points on one axis
        places, weights = split_levels(places, weights, len(levels), getattr(module, "num_points_list", None))
    weights = weights.reshape(places.shape[:-1])
    sampled = sampled.reshape(*sampled.shape[:2], weights.shape[2], -1)
    references = values.get("reference_points")
    kept = references if isinstance(references, Tensor) and references.dim() == 4 else None
    return SampledCall(sampled, places, weights, output, levels, kept)


def split_levels(places: Tensor, weights: Tensor, count: int, points: Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """Points by level; where levels have fewer than others, their first is repeated with the weight 0."""
    each = list(points or [places.shape[3] // count] * count)
    most, found = max(each), []
    for own, shares in zip(places.split(each, 3), weights.split(each, 3), strict=True):
        more = most - own.shape[3]
        first = own[:, :, :, :1].expand(-1, -1, -1, more, -1)
        found.append((torch.cat([own, first], 3), F.pad(shares, (0, more))))
    return torch.stack([own for own, _ in found], 3), torch.stack([shares for _, shares in found], 3)


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
            "transformers.models.pp_doclayout_v2.modeling_pp_doclayout_v2.PPDocLayoutV2MultiscaleDeformableAttention",
            "transformers.models.pp_doclayout_v3.modeling_pp_doclayout_v3.PPDocLayoutV3MultiscaleDeformableAttention",
            "transformers.models.pp_doclayout_v4.modeling_pp_doclayout_v4.PPDocLayoutV4MultiscaleDeformableAttention",
            "transformers.models.grounding_dino.modeling_grounding_dino.GroundingDinoMultiscaleDeformableAttention",
            "transformers.models.mm_grounding_dino.modeling_mm_grounding_dino."
            "MMGroundingDinoMultiscaleDeformableAttention",
            "transformers.models.omdet_turbo.modeling_omdet_turbo.OmDetTurboMultiscaleDeformableAttention",
            "*.MSDeformAttn",  # the authors' Deformable DETR and Mask2Former
        ),
        ("linear",),
        read_sampling,
    ),
    DeclarationRecipe(
        (
            "transformers.models.d_fine.modeling_d_fine.DFineMultiscaleDeformableAttention",
            "transformers.models.deimv2.modeling_deimv2.Deimv2MultiscaleDeformableAttention",
        ),
        ("contiguous",),
        read_sampling_alone,
    ),
)
