"""From predictions to subplots: every kind of attention map, features, labels and confidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, assert_never

import numpy as np

from segviz.attention.maps import (
    AttendedFeatures,
    AttentionMap,
    AxisChannelAttention,
    ChannelAttention,
    Gate,
    MapLook,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.figures.colour import Scale, signed_scale, span_scale, weight_scale
from segviz.figures.content import Bars, Classes, Content, Heat, Matrix, Points
from segviz.figures.overlay import pixel_of_cell
from segviz.figures.subplot import Box, Mark, Subplot
from segviz.image import Rgb
from segviz.prediction.prediction import Place, Prediction
from segviz.scales import ScaleKind
from segviz.text import pixel_text

Feature = Literal["output", "context"]
LOOK_WORDS = {"attends_to": ": attends to", "attended_by": ": attended by", "strip": " of", "points": " of"}
STRIP_COLOUR = "#D55E00"


def map_subplots(
    image: Rgb,
    one: AttentionMap,
    places: Sequence[Place],
    looks: Sequence[MapLook],
    *,
    model: str = "",
    kind: ScaleKind = "linear",
    colours: str = "viridis",
) -> Iterator[Subplot]:
    """Yields a subplot per place and look; one for a map without places; one per place for FLA's affinities."""
    if isinstance(one, SpatialMap):
        for place in places:
            for look in looks:
                if look in one.looks:
                    yield map_subplot(image, one, look, place, model=model, kind=kind, colours=colours)
        return
    match one:
        case ChannelAttention():
            matrix = one.matrix.numpy()
            content: Content = Matrix(matrix, weight_scale(matrix, kind=kind), colours=colours)
            yield Subplot(f"{one.name}: affinity of channels", image, content, one.name, model)
        case Gate():
            alpha = one.alpha.numpy()
            title = f"{one.name}, mean {alpha.mean():.2f}"
            yield Subplot(title, image, Bars(alpha, "share of the coarser level", 0.5), one.name, model)
        case AxisChannelAttention():
            for y, x in places:
                line = one.cell(y, x, *image.shape[:2])[0 if one.axis == "rows" else 1]
                matrix = one.matrix(line).numpy()
                content = Matrix(matrix, weight_scale(matrix, kind=kind), colours=colours)
                title = f"affinity of channels in {one.axis.removesuffix('s')} {line}"
                yield Subplot(title, image, content, f"{one.name}_{y}_{x}", model, (y, x))
        case _:
            assert_never(one)


def map_subplot(
    image: Rgb,
    one: SpatialMap,
    look: MapLook,
    place: Place,
    *,
    model: str = "",
    kind: ScaleKind = "linear",
    colours: str = "viridis",
    number: int = 0,
) -> Subplot:
    """A map over the picture, for one pixel.

    Args:
        image: the picture that was predicted on.
        one: the map.
        look: "attends_to" is row p of the attention matrix, what the pixel draws from each place; "attended_by" is
            column p, what each place draws from the pixel; "strip" is how much each place reads the pixel's strip;
            "points" are the positions that the pixel samples.
        place: the pixel (y, x).
        model: name of the model.
        kind: kind of scale.
        colours: name of a colour map in COLOUR_MAPS; maps with negative values use "signed".
        number: number of the mark; 0 draws a ring.

    Raises:
        ValueError: the map has no such look, or the pixel lies outside the picture.
    """
    if look not in one.looks:
        raise ValueError(f"map '{one.name}' has no look '{look}'; use {', '.join(one.looks)}")
    cell = one.cell(*place, *image.shape[:2])
    name = f"{one.name}_{place[0]}_{place[1]}"
    title = f"{one.name}{LOOK_WORDS[look] if one.unit == 'weight' else ' with'} ({pixel_text(*place)})"
    marks = (Mark(*place, number),)
    if look == "points" and isinstance(one, SampledAttention):
        return Subplot(title, image, sampled_points(image, one, cell, kind, colours), name, model, place, marks)
    boxes: tuple[Box, ...] = ()
    if look == "strip" and isinstance(one, StripAttention):
        strip = strip_at(one, place, image)
        boxes = (strip_box(one, strip, image),)
        content = strip_heat(one, strip, kind, colours)
    else:
        values = (one.attends_to(*cell) if look == "attends_to" else one.attended_by(*cell)).numpy()
        content = weights_heat(one, values, kind, colours)
    return Subplot(title, image, content, f"{name}_{look}", model, place, marks, boxes)


def weights_heat(one: SpatialMap, values: np.ndarray, kind: ScaleKind = "linear", colours: str = "viridis") -> Heat:
    """Weights over the picture; signed weights have the signed colours and no even share."""
    if one.unit != "weight":  # 0 stays in the middle, whatever the signs of this row
        scale = signed_scale(values, kind="linear" if kind == "log" else kind)
        return Heat(values, scale, one.unit, "signed", one.feature_grid)
    scale = weight_scale(values, kind=kind)
    if one.signed:
        return Heat(values, scale, "weight", "signed", one.feature_grid)
    return Heat(values, scale, "weight", colours, one.feature_grid, 1 / values.size)


def strip_heat(strips: StripAttention, strip: int, kind: ScaleKind = "linear", colours: str = "viridis") -> Heat:
    """How much each place reads a strip; the even share is 1 / strips."""
    values = strips.strip_map(strip).numpy()
    return Heat(values, weight_scale(values, kind=kind), "weight", colours, even=1 / len(strips.keys))


def sampled_points(image: Rgb, one: SampledAttention, cell: tuple[int, int], kind: ScaleKind, colours: str) -> Points:
    """The positions that a cell samples, in pixels of the picture."""
    size = (image.shape[0], image.shape[1])
    positions, weights = (part.numpy() for part in one.samples(*cell))
    plain = one.window_around(*cell).numpy()
    at, undisplaced = (pixel_of_cell(part, size, one.grid).astype(np.float32) for part in (positions, plain))
    scale = weight_scale(weights, kind=kind)
    return Points(at, weights, undisplaced, scale, colours=colours, even=1 / len(weights))


def strip_at(strips: StripAttention, place: Place, image: Rgb) -> int:
    """The number of the strip that contains a pixel."""
    row, column = strips.cell(*place, *image.shape[:2])
    return column if strips.axis == "vertical" else row


def strip_box(strips: StripAttention, strip: int, image: Rgb, colour: str = STRIP_COLOUR) -> Box:
    """A box around the pixels of a strip."""
    height, width = image.shape[:2]
    if strips.axis == "vertical":
        pitch = width / strips.grid[1]
        return Box(0, strip * pitch, height, (strip + 1) * pitch, colour)
    pitch = height / strips.grid[0]
    return Box(strip * pitch, 0, (strip + 1) * pitch, width, colour)


def feature_subplot(
    image: Rgb, attended: AttendedFeatures, feature: Feature, *, model: str = "", colours: str = "viridis"
) -> Subplot:
    """Channel means of the block's output or context, on a scale from minimum to maximum (FLANet Fig. 6)."""
    values = getattr(attended, feature).numpy()
    content = Heat(values, span_scale(values), "channel mean", colours)
    return Subplot(f"{model}: {feature}" if model else feature, image, content, f"attended_{feature}", model)


def labels_subplot(image: Rgb, prediction: Prediction, title: str = "", outlined: bool = True) -> Subplot:
    """The predicted classes over the picture."""
    content = Classes(prediction.labels, prediction.class_set, outlined)
    return Subplot(title or prediction.model, image, content, f"labels_{prediction.model}", prediction.model)


def confidence_subplot(image: Rgb, prediction: Prediction, colours: str = "viridis") -> Subplot:
    """The softmax of the winning class."""
    values = prediction.confidence
    content = Heat(values, Scale(0.0, 1.0), "confidence", colours)
    title = f"{prediction.model}: confidence"
    return Subplot(title, image, content, f"confidence_{prediction.model}", prediction.model)
