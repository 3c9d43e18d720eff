"""Networks with object queries: in decoders, cross attention looks at places and self attention at none."""

from __future__ import annotations

from segviz.watch.call import AttentionCall
from segviz.watch.frames import RunningModule
from segviz.watch.grids import NotShownError
from segviz.watch.layout import ObjectQueries
from segviz.watch.recipes.recipe import LayoutRecipe

CROSS = ("encoder_attn", "cross_attn", "multihead_attn")  # names of cross attention in decoder layers


def read_decoder_layer(call: AttentionCall, running: RunningModule) -> ObjectQueries | None:
    """A decoder layer whose queries are objects.

    Raises:
        NotShownError: it relates the objects to each other.
    """
    name = call.path.removeprefix(running.path).strip(".").partition(".")[0]
    if name == "self_attn":  # as many queries as some grid has cells, such as 300 for 480 x 640, would look like places
        raise NotShownError("it relates object queries to each other, not to places")
    return ObjectQueries() if name in CROSS else None


OBJECT_QUERY_RECIPES = (
    LayoutRecipe(
        (
            "torch.nn.modules.transformer.TransformerDecoderLayer",
            "transformers.models.detr.modeling_detr.DetrDecoderLayer",
            "transformers.models.mask2former.modeling_mask2former.Mask2FormerMaskedAttentionDecoderLayer",
            "transformers.models.maskformer.modeling_maskformer.MaskFormerDetrDecoderLayer",
            "transformers.models.oneformer.modeling_oneformer.OneFormerTransformerDecoderLayer",
            "transformers.models.oneformer.modeling_oneformer.OneFormerTransformerDecoderQueryTransformerDecoderLayer",
            "transformers.models.deformable_detr.modeling_deformable_detr.DeformableDetrDecoderLayer",
            "transformers.models.rt_detr.modeling_rt_detr.RTDetrDecoderLayer",
            "transformers.models.table_transformer.modeling_table_transformer.TableTransformerDecoderLayer",
            "transformers.models.conditional_detr.modeling_conditional_detr.ConditionalDetrDecoderLayer",
            "transformers.models.dab_detr.modeling_dab_detr.DabDetrDecoderLayer",
            "transformers.models.rt_detr_v2.modeling_rt_detr_v2.RTDetrV2DecoderLayer",
            "transformers.models.d_fine.modeling_d_fine.DFineDecoderLayer",
            "transformers.models.lw_detr.modeling_lw_detr.LwDetrDecoderLayer",
            "transformers.models.rf_detr.modeling_rf_detr.RfDetrDecoderLayer",
            "transformers.models.deimv2.modeling_deimv2.Deimv2DecoderLayer",
            "transformers.models.pp_doclayout_v2.modeling_pp_doclayout_v2.PPDocLayoutV2DecoderLayer",
            "transformers.models.pp_doclayout_v3.modeling_pp_doclayout_v3.PPDocLayoutV3DecoderLayer",
            "transformers.models.pp_doclayout_v4.modeling_pp_doclayout_v4.PPDocLayoutV4DecoderLayer",
            "transformers.models.grounding_dino.modeling_grounding_dino.GroundingDinoDecoderLayer",
            "transformers.models.mm_grounding_dino.modeling_mm_grounding_dino.MMGroundingDinoDecoderLayer",
            "transformers.models.omdet_turbo.modeling_omdet_turbo.OmDetTurboDeformableTransformerDecoderLayer",
            "*.TransformerDecoderLayer",  # the authors' DETR
            "*.DeformableTransformerDecoderLayer",  # the authors' Deformable DETR
        ),
        read_decoder_layer,
    ),
)
