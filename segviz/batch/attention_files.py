"""The attention maps of one picture as files and numbers, drawn as the pages draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segviz.attention.cells import spread_places
from segviz.attention.maps import AttentionMap, MapLook, SpatialMap
from segviz.attention.statistics import query_dependence, summarise
from segviz.batch.inputs import Source
from segviz.batch.run import Files, PictureOutput, PredictPicture
from segviz.figures.export import NUMBERS, export
from segviz.figures.figure_spec import FigureSpec
from segviz.figures.influence_subplot import influence_subplot
from segviz.figures.interesting_places import default_places
from segviz.figures.papers import check_places
from segviz.figures.prediction_subplots import ALL_LOOKS, map_named, prediction_rows
from segviz.figures.subplot import Subplot
from segviz.image import Rgb
from segviz.prediction.influence import Influence, correlate_influence
from segviz.prediction.prediction import Place, Prediction
from segviz.scales import ScaleKind

MeasureAt = Callable[[Rgb, Place], Influence]
SAMPLED_PLACES = 64  # queries that measure how much a map depends on its query


@dataclass(frozen=True)
class AttentionOptions:
    """Which maps to export, and how.

    Attributes:
        places: pixels (y, x); if empty, the innermost pixel of the largest class.
        maps: names of maps; if empty, all of them, with classes and features.
        looks: "attends_to", "attended_by", "strip", "points".
        kind: kind of scale.
        one_scale: whether all maps of weights share one scale.
        colours: a name of COLOUR_MAPS.
        forms: file formats: "png", "svg", "pdf" for each map, "npz", "csv" for all numbers.
        size: scale of PNGs, times 144 pixels an inch.
        whole: whether each format gets one page with all maps, not a file per map.
    """

    places: tuple[Place, ...] = ()
    maps: tuple[str, ...] = ()
    looks: tuple[MapLook, ...] = ALL_LOOKS
    kind: ScaleKind = "linear"
    one_scale: bool = False
    colours: str = "viridis"
    forms: tuple[str, ...] = ("png", "npz")
    size: int = 1
    whole: bool = False


def export_attention(
    predict: PredictPicture,
    options: AttentionOptions,
    source: Source,
    picture: Rgb,
    measure: MeasureAt | None = None,
) -> PictureOutput:
    """Predict a picture and return its attention maps as files and numbers.

    Args:
        predict: the model.
        options: which maps, and how.
        source: where the picture comes from.
        picture: the picture.
        measure: gives the influence on the answer at a place, to export beside the maps; None to leave it out.

    Raises:
        ValueError: a place lies outside the picture.
        KeyError: the model has no map of that name.
    """
    check_places(options.places, picture, source.text)
    prediction = predict(picture)
    check_looks(prediction, options)
    places = options.places or default_places(prediction.labels, 1)
    rows = prediction_rows(
        prediction,
        picture,
        places,
        maps=options.maps or None,
        looks=options.looks,
        kind=options.kind,
        colours=options.colours,
        one_scale=options.one_scale,
    )
    influences = [measure(picture, place) for place in places] if measure else []
    rows += [
        [influence_subplot(picture, one, answer_of(prediction, one), kind=options.kind, colours=options.colours)]
        for one in influences
    ]
    stem = f"{source.stem}_{prediction.model}"
    files = page_files(stem, rows, options) if options.whole else subplot_files(stem, rows, options)
    summary = {"image": source.text, **describe_attention(prediction, places, options.maps or tuple(prediction.maps))}
    if influences:
        summary["influence"] = [describe_influence(prediction, one) for one in influences]
    return PictureOutput(files, summary)


def answer_of(prediction: Prediction, influence: Influence) -> str:
    """The name of the class that an influence explains."""
    return prediction.classes[influence.class_index]


def check_looks(prediction: Prediction, options: AttentionOptions) -> None:
    """Check that every chosen look is one of some chosen map's.

    Raises:
        ValueError: a look would show nothing.
    """
    if options.looks == ALL_LOOKS:
        return
    chosen = [map_named(prediction, name) for name in options.maps] if options.maps else prediction.maps.values()
    looks = dict.fromkeys(look for one in chosen if isinstance(one, SpatialMap) for look in one.looks)
    for look in options.looks:
        if look not in looks:
            cure = f"use {', '.join(looks)}" if looks else "remove --look, for its maps have none"
            raise ValueError(f"no map of '{prediction.model}' has the look '{look}'; {cure}")


def subplot_files(stem: str, rows: Sequence[Sequence[Subplot]], options: AttentionOptions) -> Files:
    """A file for each subplot, and one for all numbers."""
    for form in options.forms:
        if form in NUMBERS:
            yield f"{stem}.{form}", export(make_figure_spec(stem, rows), form)
            continue
        for subplot in (subplot for row in rows for subplot in row):
            yield (
                f"{stem}_{subplot_file_label(subplot)}.{form}",
                export(make_figure_spec(stem, [[subplot]]), form, size=options.size),
            )


def page_files(stem: str, rows: Sequence[Sequence[Subplot]], options: AttentionOptions) -> Files:
    """One page with all subplots in each format."""
    for form in options.forms:
        yield f"{stem}.{form}", export(make_figure_spec(stem, rows), form, size=options.size, letters=True)


def subplot_file_label(subplot: Subplot) -> str:
    """The part of a file name that says which subplot it holds."""
    return subplot.name if next(iter(subplot.arrays())) == subplot.name else f"{subplot.name}_points"


def make_figure_spec(stem: str, rows: Sequence[Sequence[Subplot]]) -> FigureSpec:
    """Put subplots into a titled figure spec."""
    return FigureSpec(f"Attention: {stem}", tuple(map(tuple, rows)))


# ---- numbers -----------------------------------------------------------------------------------------------


def describe_attention(prediction: Prediction, places: Sequence[Place], maps: Sequence[str]) -> dict[str, Any]:
    """The entry of one picture in `attend --json`; a value that is not finite is null."""
    size = prediction.labels.shape
    return {
        "model": prediction.model,
        "height": size[0],
        "width": size[1],
        "places": [describe_place(prediction, place) for place in places],
        "maps": [describe_map(prediction, map_named(prediction, name), places) for name in maps],
    }


def describe_place(prediction: Prediction, place: Place) -> dict[str, Any]:
    """A place with its predicted class and confidence."""
    index = int(prediction.labels[place])
    name = prediction.classes[index] if index < len(prediction.classes) else None
    return {"y": place[0], "x": place[1], "class": name, "confidence": round(float(prediction.confidence[place]), 4)}


def describe_map(prediction: Prediction, one: AttentionMap, places: Sequence[Place]) -> dict[str, Any]:
    """A map's numbers: its query dependence, and statistics of each place's row and column."""
    base = {"map": one.name, "kind": type(one).__name__}
    if not isinstance(one, SpatialMap):
        return {**base, "note": f"{one.reason}, so it has no statistics of places"}
    found: dict[str, Any] = {**base, "grid": list(one.grid)}
    try:
        found["query_dependence"] = round_significant(query_dependence(one, spread_places(one.grid, SAMPLED_PLACES)))
        found["places"] = [summarise_place(prediction, one, place) for place in places]
    except ValueError as error:  # weights of both signs, or a picture smaller than the grid
        found["note"] = str(error)
    return found


def describe_influence(prediction: Prediction, influence: Influence) -> dict[str, Any]:
    """The influence on one answer: the answer, and its rank correlation with each map's weights."""
    ranks = correlate_influence(influence, prediction)
    return {
        "y": influence.pixel[0],
        "x": influence.pixel[1],
        "class": answer_of(prediction, influence),
        "score": round_significant(influence.score),
        "grid": list(influence.values.shape),
        "largest": round_significant(float(influence.values.max())),
        "rank_correlation": {name: round_significant(rho) for name, rho in ranks.items()},
    }


def summarise_place(prediction: Prediction, one: SpatialMap, place: Place) -> dict[str, Any]:
    """Statistics of one place's row of the attention matrix, and the sum and maximum of its column."""
    size = (prediction.labels.shape[0], prediction.labels.shape[1])
    cell = one.cell(*place, *size)
    row = asdict(summarise(one, *cell, prediction.labels, size))
    column = one.attended_by(*cell).double()
    return {
        "y": place[0],
        "x": place[1],
        "cell": list(cell),
        "attends_to": {name: round_significant(value) for name, value in row.items()},
        "attended_by": {
            "sum": round_significant(float(column.sum())),
            "largest": round_significant(float(column.max())),
        },
    }


def round_significant(value: float) -> float | None:
    """Round to six significant digits; None for a value that is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
