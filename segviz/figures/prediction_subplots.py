"""The maps of one prediction as rows of subplots, for notebooks and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from segviz.attention.maps import AttentionMap, MapLook
from segviz.figures.content import Heat
from segviz.figures.map_subplots import Feature, feature_subplot, labels_subplot, map_subplots
from segviz.figures.subplot import Mark, Subplot, share_scale
from segviz.image import Rgb
from segviz.prediction.prediction import Place, Prediction
from segviz.scales import ScaleKind

OWN = ("labels", "confidence", "output", "context")  # names that every prediction offers beside its maps
FEATURES: tuple[Feature, ...] = ("output", "context")
ALL_LOOKS: tuple[MapLook, ...] = get_args(MapLook)


def prediction_rows(
    prediction: Prediction,
    image: Rgb,
    places: Sequence[Place],
    *,
    maps: Sequence[str] | None = None,
    looks: Sequence[MapLook] = ALL_LOOKS,
    kind: ScaleKind = "linear",
    colours: str = "viridis",
    one_scale: bool = False,
) -> list[list[Subplot]]:
    """Rows of subplots: the prediction with its features, then each map with a row for each place.

    Args:
        prediction: the prediction.
        image: the picture that was predicted on, at its own size.
        places: queried pixels (y, x).
        maps: names of maps; by default the classes and features, then all maps.
        looks: looks at maps over places; looks that a map does not have are skipped.
        kind: kind of scale for weights.
        colours: name of a colour map in COLOUR_MAPS.
        one_scale: whether all maps of weights share one scale.

    Raises:
        KeyError: the model has no map of that name.
    """
    model, rows = prediction.model, []
    if maps is None:
        features = [
            feature_subplot(image, prediction.attended, look, model=model, colours=colours) for look in FEATURES
        ]
        rows.append([replace(labels_subplot(image, prediction), name="labels"), *features])
    for name in prediction.maps if maps is None else maps:
        rows += map_rows(image, map_named(prediction, name), places, looks, model, kind, colours)
    return share_weight_scale(rows) if one_scale else rows


def map_named(prediction: Prediction, name: str) -> AttentionMap:
    """A map by its name.

    Raises:
        KeyError: the model has no map of that name.
    """
    if name not in prediction.maps:
        raise KeyError(f"model '{prediction.model}' has no map '{name}'; use {', '.join((*OWN, *prediction.maps))}")
    return prediction.maps[name]


def map_rows(
    image: Rgb,
    one: AttentionMap,
    places: Sequence[Place],
    looks: Sequence[MapLook],
    model: str,
    kind: ScaleKind,
    colours: str,
) -> list[list[Subplot]]:
    """A map's subplots: one row per place, and one row of subplots without a place."""
    subplots = list(map_subplots(image, one, places, looks, model=model, kind=kind, colours=colours))
    by_place = [[subplot for subplot in subplots if subplot.place == place] for place in dict.fromkeys(places)]
    rows = [*by_place, [subplot for subplot in subplots if subplot.place is None]]
    numbers = {place: number for number, place in enumerate(dict.fromkeys(places), 1)} if len(places) > 1 else {}
    return [[number_marks(subplot, numbers) for subplot in row] for row in rows if row]


def number_marks(subplot: Subplot, numbers: dict[Place, int]) -> Subplot:
    """Numbers the subplot's marks as their places are numbered."""
    return replace(
        subplot, marks=tuple(Mark(mark.y, mark.x, numbers.get((mark.y, mark.x), 0)) for mark in subplot.marks)
    )


def share_weight_scale(rows: Sequence[Sequence[Subplot]]) -> list[list[Subplot]]:
    """Puts all maps of weights on one scale; other subplots keep theirs."""
    weights = [
        subplot
        for row in rows
        for subplot in row
        if isinstance(subplot.content, Heat) and subplot.content.unit == "weight"
    ]
    common = iter(share_scale(weights))
    chosen = {id(subplot): scaled for subplot, scaled in zip(weights, common, strict=True)}
    return [[chosen.get(id(subplot), subplot) for subplot in row] for row in rows]


def as_places(at: Place | Sequence[Place]) -> tuple[Place, ...]:
    """A tuple of places, from one place or several, of any integer type.

    Raises:
        ValueError: the value is not a place or a list of places.
    """
    flat = np.atleast_2d(np.asarray(at, dtype=np.int64))
    if flat.ndim != 2 or flat.shape[1] != 2:
        raise ValueError(f"at={at!r} is not a place; give a pixel (y, x) or a list of pixels")
    return tuple((int(y), int(x)) for y, x in flat)
