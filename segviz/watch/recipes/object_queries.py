"""Decoders with object queries: their cross attention looks at places, their self attention at none."""

from __future__ import annotations

from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
from segviz.watch.grids import NotShownError
from segviz.watch.layout import ObjectQueries
from segviz.watch.recipes.recipe import LayoutRecipe

CROSS = ("encoder_attn", "cross_attn", "multihead_attn")  # names of cross attention in decoder layers


def read_decoder_layer(call: AttentionCall, running: RunningModule) -> ObjectQueries:
    """A decoder layer whose queries are objects."""
    name = call.path.removeprefix(running.path).strip(".").partition(".")[0]
    if name in CROSS:
        return ObjectQueries()
    raise NotShownError("it relates object queries to each other, not to places")


OBJECT_QUERY_RECIPES = (
    LayoutRecipe(
        (
            "torch.nn.modules.transformer.TransformerDecoderLayer",
            "transformers.models.detr.modeling_detr.DetrDecoderLayer",
            "transformers.models.mask2former.modeling_mask2former.Mask2FormerMaskedAttentionDecoderLayer",
            "transformers.models.maskformer.modeling_maskformer.DetrDecoderLayer",
            "transformers.models.oneformer.modeling_oneformer.OneFormerTransformerDecoderLayer",
        ),
        read_decoder_layer,
    ),
)
