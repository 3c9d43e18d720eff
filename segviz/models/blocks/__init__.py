"""The attention blocks, one file per family; each returns `Attended(features, context, maps)`."""

from segviz.models.blocks.asymmetric_non_local import AsymmetricNonLocal, PyramidAttention
from segviz.models.blocks.attention_fusion import AttentionFusion
from segviz.models.blocks.context_block import ContextBlock
from segviz.models.blocks.criss_cross import RecurrentCrissCross
from segviz.models.blocks.dual_branches import DualBranches
from segviz.models.blocks.embedded_non_local import DisentangledNonLocal, EmbeddedNonLocal, ProjectedNonLocal
from segviz.models.blocks.expectation_maximization import ExpectationMaximization
from segviz.models.blocks.fully_attentional import FullyAttentional
from segviz.models.blocks.global_context import GlobalContext
from segviz.models.blocks.interlaced_non_local import InterlacedNonLocal
from segviz.models.blocks.non_local import (
    ChannelNonLocal,
    ChannelSpatialNonLocal,
    DualNonLocal,
    SpatialChannelNonLocal,
    SpatialNonLocal,
)
from segviz.models.blocks.object_context import ObjectContext
from segviz.models.blocks.point_wise_spatial_attention import PointWiseBranch, PointWiseSpatialAttention
from segviz.models.blocks.pooling import AtrousPyramid, GlobalPooling, NoContext, PyramidPooling
from segviz.models.blocks.sparse_non_local import SparseNonLocal, SparseNonLocalWithPooling
from segviz.models.blocks.strip_attention import StripAttentionModule

__all__ = [
    "AsymmetricNonLocal",
    "AtrousPyramid",
    "AttentionFusion",
    "ChannelNonLocal",
    "ChannelSpatialNonLocal",
    "ContextBlock",
    "DisentangledNonLocal",
    "DualBranches",
    "DualNonLocal",
    "EmbeddedNonLocal",
    "ExpectationMaximization",
    "FullyAttentional",
    "GlobalContext",
    "GlobalPooling",
    "InterlacedNonLocal",
    "NoContext",
    "ObjectContext",
    "PointWiseBranch",
    "PointWiseSpatialAttention",
    "ProjectedNonLocal",
    "PyramidAttention",
    "PyramidPooling",
    "RecurrentCrissCross",
    "SparseNonLocal",
    "SparseNonLocalWithPooling",
    "SpatialChannelNonLocal",
    "SpatialNonLocal",
    "StripAttentionModule",
]
