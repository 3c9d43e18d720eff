"""A network's map over the picture: one head, or the mean or largest of all, on its own grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover, HeadChoice, covered_size
from segviz.attention.maps import NetworkMap
from segviz.attention.network_look import NetworkLook, key_cells, network_weights, sampled_weights, strongest_query
from segviz.attention.object_queries import ObjectQueryMap
from segviz.figures.colour import weight_scale
from segviz.figures.content import Heat, Points
from segviz.figures.interesting_places import LETTERS, grid_box, strongest_cells
from segviz.figures.subplot import Box, Mark, Subplot
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.scales import ScaleKind
from segviz.text import pixel_text

WORDS = {"attends_to": "attends to", "attended_by": "attended by", "query": "query", "points": "samples"}


def network_subplot(
    image: Rgb,
    one: NetworkMap,
    look: NetworkLook,
    place: Place,
    *,
    head: HeadChoice = "mean",
    query: int | None = None,
    model: str = "",
    kind: ScaleKind = "linear",
    colours: str = "viridis",
) -> Subplot:
    """A network's map for one pixel, as the viewer shows it.

    Args:
        image: the picture that the network saw.
        one: the map.
        look: "attends_to", "attended_by", "query", the whole map of a query off the picture, or "points", its samples
            or those of the pixel's cell.
        place: the pixel (y, x).
        head: a head's number, "mean" or "largest".
        query: the object query's or token's number; None is the object query that draws most from the pixel.
        model: name of the model.
        kind: kind of scale.
        colours: name of a colour map; maps with negative values use "signed".

    Raises:
        IndexError: there is no such head or query.
        ValueError: the map has no such look, or the pixel lies outside the picture.
    """
    size = (image.shape[0], image.shape[1])
    if query is None and isinstance(one, ObjectQueryMap):
        query = strongest_query(one, place, size, head)
    content: Heat | Points
    if look == "points":
        content = network_points(one, place, size, head, query, kind, colours)
    else:
        values = network_weights(one, look, place, size, head, query).numpy()
        signed = bool(values.min(initial=0) < 0)
        scale = weight_scale(values, kind="linear" if signed and kind == "log" else kind)
        even = None if signed else 1 / key_cells(one)
        content = Heat(values, scale, "weight", "signed" if signed else colours, None, even, covers=one.covers)
    which = f" {query}" if query is not None else ""
    title = f"{one.name}: {WORDS[look]}{which}{view_text(one, head)} ({pixel_text(*place)})"
    name = f"{one.name}_{place[0]}_{place[1]}_{look}{which.strip()}_{head if isinstance(head, str) else f'head{head}'}"
    return Subplot(title, image, content, name, model, place, (Mark(*place),))


def network_points(
    one: NetworkMap, place: Place, size: Grid, head: HeadChoice, query: int | None, kind: ScaleKind, colours: str
) -> Points:
    """The samples of a pixel's cell, or of an object query, in pixels of the picture."""
    positions, weights = (part.numpy() for part in sampled_weights(one, place, size, head, query))
    at = (positions * np.array(covered_size(size, one.covers)) - 0.5).astype(np.float32)
    even = (one.heads if head == "largest" else 1) / len(weights)  # "largest" has the weights of every head
    scale = weight_scale(weights, kind=kind)
    return Points(at, weights, np.zeros((0, 2), np.float32), scale, colours=colours, even=even)


def view_text(one: NetworkMap, head: HeadChoice) -> str:
    """Which heads are shown, as the end of a title; "" where there is one."""
    if one.heads == 1:
        return ""
    return f", {head} of {one.heads} heads" if isinstance(head, str) else f", head {head}"


def strongest_boxes(
    values: Float[np.ndarray, "rows columns"], covers: Cover, place: Place, size: Grid
) -> tuple[Box, ...]:
    """Lettered boxes around the cells of a map with the largest weights, away from a pixel."""
    (height, width), grid = covered_size(size, covers), (values.shape[0], values.shape[1])
    row, column = (
        (at + 0.5) * cells / pixels - 0.5 for at, cells, pixels in zip(place, grid, (height, width), strict=True)
    )
    cells = zip(LETTERS, strongest_cells(values, row, column), strict=False)  # there may be fewer
    return tuple(grid_box(where, (height, width), grid, None, letter) for letter, where in cells)
