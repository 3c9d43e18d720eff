"""The panels and the table of "Same pixel, every block"; numbers are computed once for all sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from segviz.attention.direction import Direction
from segviz.attention.maps import SpatialMap
from segviz.attention.statistics import MapStatistics
from segviz.catalogue.bundled import bundled_maps, bundled_worth
from segviz.figures import same_pixel_table as view
from segviz.models.registry import MODELS
from segviz.prediction.labelled import PixelLabels
from segviz.prediction.prediction import Place, Prediction
from segviz.results.where_blocks_look import place_maps
from segviz.text import join_with_commas
from segviz.ui.charts import csv_button
from segviz.ui.map_help import mean_words
from segviz.ui.picture import Picture
from segviz.ui.tables import explain_columns, show_table
from segviz.viewer.panel import Panel, Pin

TITLES: Mapping[Direction, str] = {
    "attends_to": "Where the point looks, in numbers",
    "attended_by": "Who looks at it, in numbers",
}


def model_panels(names: Sequence[str], predictions: Mapping[str, Prediction]) -> list[Panel]:
    """A panel for each map, and one for each model that has not run; models without a map of places have none."""
    panels = []
    for name in filter(has_map_of_places, names):
        prediction, known = predictions.get(name), bundled_worth(name)
        worth = "" if known is None else f"{known.note()}{mean_words(name)}"
        if prediction is None:
            note = "shown as soon as it has run"
            panels.append(Panel(MODELS[name].title, None, "plain", note=note, stats=True, worth=worth))
            continue
        for one in prediction.spatial_maps:
            title, note = view.map_title(prediction, one), view.map_note(prediction, one)
            panels.append(Panel(title, one, "either", note=note, stats=True, model=name, worth=worth))
    return panels


def has_map_of_places(name: str) -> bool:
    """Whether a model has a map from place to place; known before it has run, so that no panel comes and goes."""
    return bool(place_maps(name))


def folded_models(names: Sequence[str], predictions: Mapping[str, Prediction]) -> str:
    """A line that names the models without a map of places, and why; "" if there is none."""
    reasons = {name: view.no_map_words(predictions[name]) if name in predictions else "" for name in names}
    folded = [name for name in names if not has_map_of_places(name)]
    each = (f"{MODELS[name].title}{f' ({reasons[name]})' if reasons[name] else ''}" for name in folded)
    return f"Without a map of places: {join_with_commas(each)}." if folded else ""


def show_numbers(
    picture: Picture,
    predictions: Mapping[str, Prediction],
    pins: Sequence[Pin],
    direction: Direction,
    networks: Sequence[Panel] = (),
    classes: Mapping[str, PixelLabels] | None = None,
) -> None:
    """The table: a row for each map and point, then the means over the picture, then those over val.

    Networks of one's own have rows at points, of what their maps alone say.

    Args:
        picture: the picture.
        predictions: the predictions of the models that have run.
        pins: the points.
        direction: whether the numbers are those of `attends_to` or of `attended_by`.
        networks: the panels of networks of one's own.
        classes: what these predict, by their names.
    """
    key = picture.seen_digest
    maps = [(prediction, one) for prediction in predictions.values() for one in prediction.spatial_maps]
    rows = []
    with st.spinner("Computing the numbers …"):
        means = [_picture_numbers(key, one.model, map_.name, direction, one, map_) for one, map_ in maps]
        for pin in pins:
            for panel in networks:
                known = (classes or {}).get(panel.model)
                rows.append(network_row(panel, pin, picture, known, direction))
            for (one, map_), mean in zip(maps, means, strict=True):
                numbers = _point_numbers(key, one.model, map_.name, pin.y, pin.x, direction, one, map_)
                own = one.classes[one.labels[pin.y, pin.x]]
                depends = mean.dependence if mean else None
                rows.append(view.MapRow(str(pin.number), view.map_title(one, map_), own, numbers, depends))
    for (one, map_), mean in zip(maps, means, strict=True):
        whole = (mean.mean, mean.dependence) if mean else (None, None)
        rows.append(view.MapRow("mean", view.map_title(one, map_), None, *whole))
    if direction == "attends_to":
        for one, map_ in maps:
            if measured := bundled_maps(one.model).get(map_.name):
                numbers = view.recorded_numbers(map_, measured)
                rows.append(view.MapRow("val", view.map_title(one, map_), None, numbers, measured.trained.dependence))
    st.header(TITLES[direction])
    values = view.same_pixel_columns(rows)
    label = "Numbers of each map at the pinned points, and their means over the picture"
    show_table(values, view.SAME_PIXEL_COLUMNS, label, "Model")
    csv_button(values, f"same-pixel-{direction}")
    explain_columns(view.SAME_PIXEL_COLUMNS)


def network_row(
    panel: Panel, pin: Pin, picture: Picture, classes: PixelLabels | None, direction: Direction
) -> view.MapRow:
    """A row of a network of one's own: its map at a point; how much that depends on the point is not measured."""
    place, labels = (pin.y, pin.x), None if classes is None else classes.labels
    numbers = view.panel_numbers(panel, place, picture.size, labels, direction)
    name = None if classes is None else class_name(classes, place)
    return view.MapRow(str(pin.number), panel.title, name, numbers, None)


def class_name(classes: PixelLabels, place: Place) -> str | None:
    """The class at a pixel; None where it has none."""
    number = int(classes.labels[place])
    return classes.classes[number] if number < len(classes.classes) else None


@st.cache_resource(max_entries=1024, show_spinner=False)
def _picture_numbers(
    picture: str, model: str, name: str, direction: Direction, _prediction: Prediction, _map: SpatialMap
) -> view.PictureNumbers | None:
    """A map's numbers over the whole picture, cached by its digest and the names of the model and the map."""
    return view.picture_numbers(_prediction, _map, direction)


@st.cache_resource(max_entries=8192, show_spinner=False)
def _point_numbers(
    picture: str, model: str, name: str, y: int, x: int, direction: Direction, _prediction: Prediction, _map: SpatialMap
) -> MapStatistics | None:
    """The numbers of an image pixel's map."""
    return view.point_numbers(_prediction, _map, y, x, direction)
