"""The attention of one picture as files and numbers: every map, from and towards places, as the pages show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segviz.attention.cells import spread_places
from segviz.attention.maps import AttentionMap, SpatialMap
from segviz.attention.statistics import query_dependence, summary
from segviz.batch.inputs import Source
from segviz.batch.run import Files, PictureOutput, PredictPicture
from segviz.figures.colour import Kind
from segviz.figures.export import NUMBERS, export
from segviz.figures.figure_spec import Panel, Place, Sheet
from segviz.figures.interesting_places import default_places
from segviz.figures.map_subplots import Look
from segviz.figures.papers import check_places
from segviz.figures.prediction_subplots import ALL_LOOKS, is_spatial, map_named, prediction_rows
from segviz.image import Rgb
from segviz.prediction.prediction import Prediction

SAMPLED_PLACES = 64  # places that say how much a map depends on its place


@dataclass(frozen=True)
class AttentionOptions:
    """What is asked of a picture's attention.

    Attributes:
        places: pixels (y, x); the innermost one of the largest class where there is none.
        maps: names of maps; all, with classes and features, where there is none.
        looks: "attends_to", "attended_by", "strip", "points".
        kind: of the scale.
        one_scale: one scale for all maps of weights.
        colours: a name of COLOUR_MAPS.
        forms: of files: "png", "svg", "pdf" for each map, "npz", "csv" for all numbers.
        size: of PNGs.
        whole: one page with all maps for each form, in place of a file for each map.
    """

    places: tuple[Place, ...] = ()
    maps: tuple[str, ...] = ()
    looks: tuple[Look, ...] = ALL_LOOKS
    kind: Kind = "linear"
    one_scale: bool = False
    colours: str = "viridis"
    forms: tuple[str, ...] = ("png", "npz")
    size: int = 1
    whole: bool = False


def export_attention(predict: PredictPicture, options: AttentionOptions, source: Source, picture: Rgb) -> PictureOutput:
    """Files and numbers of a picture's attention.

    Raises:
        ValueError: a place lies outside the picture.
        KeyError: the model has no map of that name.
    """
    check_places(options.places, picture, source.text)
    prediction = predict(picture)
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
    stem = f"{source.stem}_{prediction.model}"
    files = page_files(stem, rows, options) if options.whole else panel_files(stem, rows, options)
    return PictureOutput(
        files, {"image": source.text, **describe_attention(prediction, places, options.maps or tuple(prediction.maps))}
    )


def panel_files(stem: str, rows: Sequence[Sequence[Panel]], options: AttentionOptions) -> Files:
    """A picture for each panel, and all numbers together."""
    for form in options.forms:
        if form in NUMBERS:
            yield f"{stem}.{form}", export(make_sheet(stem, rows), form)
            continue
        for panel in (panel for row in rows for panel in row):
            yield (
                f"{stem}_{panel_file_label(panel)}.{form}",
                export(make_sheet(stem, [[panel]]), form, size=options.size),
            )


def page_files(stem: str, rows: Sequence[Sequence[Panel]], options: AttentionOptions) -> Files:
    """A page with all panels in each form."""
    for form in options.forms:
        yield f"{stem}.{form}", export(make_sheet(stem, rows), form, size=options.size, letters=True)


def panel_file_label(panel: Panel) -> str:
    """The words for a panel in its file's name."""
    return panel.name if next(iter(panel.arrays())) == panel.name else f"{panel.name}_points"


def make_sheet(stem: str, rows: Sequence[Sequence[Panel]]) -> Sheet:
    """Panels as a titled sheet."""
    return Sheet(f"Attention: {stem}", tuple(map(tuple, rows)))


# ---- numbers -----------------------------------------------------------------------------------------------


def describe_attention(prediction: Prediction, places: Sequence[Place], maps: Sequence[str]) -> dict[str, Any]:
    """What `attend --json` says of a picture; what is not a number is null."""
    size = prediction.labels.shape
    return {
        "model": prediction.model,
        "height": size[0],
        "width": size[1],
        "places": [describe_place(prediction, place) for place in places],
        "maps": [describe_map(prediction, map_named(prediction, name), places) for name in maps],
    }


def describe_place(prediction: Prediction, place: Place) -> dict[str, Any]:
    """Where a place is, and what is there."""
    index = int(prediction.labels[place])
    name = prediction.classes[index] if index < len(prediction.classes) else None
    return {"y": place[0], "x": place[1], "class": name, "confidence": round(float(prediction.confidence[place]), 4)}


def describe_map(prediction: Prediction, one: AttentionMap, places: Sequence[Place]) -> dict[str, Any]:
    """A map's numbers: how much it depends on its place, and what each place's row and column do."""
    base = {"map": one.name, "kind": type(one).__name__}
    if not is_spatial(one):
        return {**base, "note": "it attends over channels, not over places, so it has no numbers of places"}
    found: dict[str, Any] = {**base, "grid": list(one.grid)}
    try:
        found["query_dependence"] = round_significant(query_dependence(one, spread_places(one.grid, SAMPLED_PLACES)))
        found["places"] = [place_statistics(prediction, one, place) for place in places]
    except ValueError as error:  # weights of both signs, or a picture smaller than the grid
        found["note"] = str(error)
    return found


def place_statistics(prediction: Prediction, one: SpatialMap, place: Place) -> dict[str, Any]:
    """What one place's row of the attention matrix does, and how much its column holds."""
    size = (prediction.labels.shape[0], prediction.labels.shape[1])
    cell = one.cell(*place, *size)
    row = asdict(summary(one, *cell, prediction.labels, size))
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
    """Six significant digits; None where it is not a number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
