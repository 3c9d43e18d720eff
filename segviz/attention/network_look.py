"""What a look at a network's map shows; the viewer, its scales and its exports agree on it."""

from __future__ import annotations

import math
from typing import Literal, cast, get_args

from jaxtyping import Float
from torch import Tensor

from segviz.attention.deformable import DeformableAttention, DeformableQueries
from segviz.attention.grid_map import Grid
from segviz.attention.head_map import HeadChoice, HeadMap
from segviz.attention.maps import NetworkMap
from segviz.attention.multi_head import MultiHeadAttention
from segviz.attention.object_queries import ObjectQueryMap

NetworkLook = Literal["attends_to", "attended_by", "query", "points"]


def look_at_network(look: str) -> NetworkLook:
    """A look as one of a network's map.

    Raises:
        ValueError: it is none.
    """
    for one in get_args(NetworkLook):
        if one == look:
            return cast(NetworkLook, one)
    raise ValueError(f"a network's map has no look '{look}'; use {', '.join(get_args(NetworkLook))}")


def key_cells(one: NetworkMap) -> int:
    """How many cells the keys have, of which each has the even share of a query's weight."""
    return math.prod(one.key_grid if isinstance(one, HeadMap) else one.grid)


def network_weights(
    one: NetworkMap, look: NetworkLook, place: Grid, size: Grid, head: HeadChoice = "mean", query: int | None = None
) -> Float[Tensor, "rows columns"]:
    """The weights that a look shows at a pixel; those of "attends_to" and "query" lie on the keys' grid.

    Args:
        one: the map.
        look: "attends_to" or "attended_by" of the pixel's cell, or "query", the whole map of a query off the picture;
            "points" is what the sampled points of a cell or of an object query draw from each place.
        place: the pixel (y, x).
        size: the picture's (height, width).
        head: a head's number, "mean" or "largest".
        query: the number of the object query or of the token off the picture; None is the object query that draws most
            from the pixel (`strongest_query`).

    Raises:
        IndexError: there is no such head or query.
        ValueError: the map has no such look, or the pixel lies outside the picture.
    """
    if look == "points":
        if not isinstance(one, DeformableAttention | DeformableQueries):
            raise not_sampled(one)
        look = "query" if isinstance(one, DeformableQueries) else "attends_to"
    if look == "query":
        if isinstance(one, MultiHeadAttention) and query is not None:
            return one.prefix_attends_to(query, head)
        if isinstance(one, HeadMap):
            raise ValueError(f"map '{one.name}' has no such query; use 'attends_to' or 'attended_by'")
        return one.query_map(strongest_query(one, place, size, head) if query is None else query, head)
    if not isinstance(one, HeadMap):
        raise ValueError(f"map '{one.name}' has object queries and no look '{look}'; use 'query'")
    if look == "attends_to":
        return one.attends_to(*one.cell(*place, *size), head)
    return one.attended_by(*one.key_cell(*place, *size), head)


def sampled_weights(
    one: NetworkMap, place: Grid, size: Grid, head: HeadChoice = "mean", query: int | None = None
) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
    """The sampled points of a pixel's cell, or of an object query, and their weights.

    Returns:
        Positions (y, x), shares of the height and width that the grid covers, and the weights.

    Raises:
        IndexError: there is no such head or query.
        ValueError: the map samples no points, or the pixel lies outside the picture.
    """
    if isinstance(one, DeformableAttention):
        return one.points(*one.cell(*place, *size), head)
    if isinstance(one, DeformableQueries):
        return one.points(strongest_query(one, place, size, head) if query is None else query, head)
    raise not_sampled(one)


def not_sampled(one: NetworkMap) -> ValueError:
    """The error of a map that samples no points."""
    return ValueError(f"map '{one.name}' samples no points; use 'attends_to' or 'query'")


def strongest_query(one: ObjectQueryMap, place: Grid, size: Grid, head: HeadChoice = "mean") -> int:
    """The number of the object query that draws most from a pixel.

    Raises:
        IndexError: there is no such head.
        ValueError: the pixel lies outside the picture.
    """
    return int(one.attended_by(*one.cell(*place, *size), head).argmax())
