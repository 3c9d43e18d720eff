"""The kinds of map, and what a block returns.

A map is a value: one frozen class for each kind, which holds factors instead of the N x N matrix. In a map over places
`attends_to(row, column)` is row p of the attention matrix (what cell p draws from each cell), and `attended_by(row,
column)` is column p (how much each cell draws from p); both are float32 arrays of the grid's shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from segviz.attention.bases import BasesAttention
from segviz.attention.channels import AxisChannelAttention, ChannelAttention, Gate
from segviz.attention.criss_cross import CrissCrossAttention
from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.direction import Direction
from segviz.attention.dot_product import DotProductAttention, log_normaliser
from segviz.attention.grid_map import Grid, GridMap, MapLook, MapOverPlaces, cell_of_pixel
from segviz.attention.head_map import HeadMap
from segviz.attention.interlaced import InterlacedAttention
from segviz.attention.linear import LinearAttention, MatrixAttention
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryAttention, ObjectQueryMap
from segviz.attention.offset_masks import MaskDirection, OffsetMaskAttention
from segviz.attention.pooled import PooledAttention
from segviz.attention.samples import SampledAttention
from segviz.attention.similarity import FeatureSimilarity
from segviz.attention.strips import StripAttention
from segviz.attention.windowed import WindowedAttention
from segviz.runtime.mmap_copy import copy_tensor

__all__ = [
    "Attended",
    "AttendedFeatures",
    "AttentionMap",
    "AxisChannelAttention",
    "BasesAttention",
    "ChannelAttention",
    "ChannelMap",
    "CrissCrossAttention",
    "DeformableAttention",
    "DeformableQueries",
    "DotProductAttention",
    "FeatureSimilarity",
    "Gate",
    "Grid",
    "GridMap",
    "HeadMap",
    "InterlacedAttention",
    "LinearAttention",
    "MapLook",
    "MapOverPlaces",
    "MaskDirection",
    "MatrixAttention",
    "MultiHeadAttention",
    "NetworkMap",
    "ObjectQueryAttention",
    "ObjectQueryMap",
    "OffsetMaskAttention",
    "PlacedMap",
    "PooledAttention",
    "QueryMap",
    "SampledAttention",
    "SpatialMap",
    "StripAttention",
    "WindowedAttention",
    "attention_weights",
    "cell_of_pixel",
    "detach",
    "log_normaliser",
]

# Every kind of our own blocks is a member of one of these two. Code that differs by kind matches them exhaustively.
SpatialMap = (
    DotProductAttention
    | StripAttention
    | CrissCrossAttention
    | BasesAttention
    | PooledAttention
    | InterlacedAttention
    | SampledAttention
    | OffsetMaskAttention
    | FeatureSimilarity
)
ChannelMap = ChannelAttention | AxisChannelAttention | Gate
AttentionMap = SpatialMap | ChannelMap
# The kinds that `segviz.watch` finds in any network. They have heads; those whose queries are places have two grids.
PlacedMap = MultiHeadAttention | WindowedAttention | LinearAttention | MatrixAttention | DeformableAttention
QueryMap = ObjectQueryAttention | DeformableQueries
NetworkMap = PlacedMap | QueryMap


@dataclass(frozen=True, repr=False)
class AttendedFeatures(GridMap):
    """Channel means of a block's output, and of its context before gamma and residual (FLANet Fig. 6)."""

    output: Float[Tensor, "height width"]
    context: Float[Tensor, "height width"]


@dataclass(frozen=True)
class Attended:
    """What a block returns: new features, its context, and its maps, a tuple for each image of the batch."""

    features: Float[Tensor, "batch channels height width"]
    context: Float[Tensor, "batch wide height width"]
    maps: tuple[tuple[AttentionMap, ...], ...]


Detachable = TypeVar("Detachable", AttentionMap, NetworkMap, AttendedFeatures)


def attention_weights(map_: SpatialMap, row: int, column: int, direction: Direction) -> Float[Tensor, "height width"]:
    """`attends_to` or `attended_by` of a map, by the direction's name.

    Raises:
        IndexError: the cell lies outside the grid.
    """
    return map_.attends_to(row, column) if direction == "attends_to" else map_.attended_by(row, column)


def detach(values: Sequence[Detachable]) -> tuple[Detachable, ...]:
    """The same maps as float32 on the CPU, cut off from the network that made them and from its memory.

    A tensor that several maps share is copied once.
    """
    copies: dict[tuple[object, ...], Tensor] = {}

    def copy(tensor: Tensor) -> Tensor:
        place = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
        if place not in copies:
            copies[place] = copy_tensor(tensor.float())
        return copies[place]

    def free(value: Detachable) -> Detachable:
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        tensors: dict[str, Any] = {name: copy(part) for name, part in parts.items() if isinstance(part, Tensor)}
        return dataclasses.replace(value, **tensors)

    return tuple(map(free, values))
