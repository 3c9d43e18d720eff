"""The panels and the table of "Same pixel, every block"; numbers are worked out once for all sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from segviz.attention.maps import Direction, SpatialMap
from segviz.attention.statistics import MapStatistics
from segviz.figures import same_pixel_table as view
from segviz.models.registry import SPECS
from segviz.prediction.prediction import Prediction
from segviz.ui.charts import as_csv
from segviz.ui.tables import show_table
from segviz.viewer.panel import Panel, Pin

TITLES: Mapping[Direction, str] = {
    "attends_to": "Where the point looks, in numbers",
    "attended_by": "Who looks at it, in numbers",
}


def panels(names: Sequence[str], predictions: Mapping[str, Prediction]) -> list[Panel]:
    """One for each map, and one for each model that has none or has not run."""
    found = []
    for name in names:
        prediction = predictions.get(name)
        maps = prediction.spatial_maps if prediction else ()
        if prediction is None or not maps:
            note = view.no_map_words(prediction) if prediction else "shown as soon as it has run"
            found.append(Panel(SPECS[name].title, None, "plain", note=note, stats=prediction is None))
        else:
            found += [
                Panel(view.map_title(prediction, one), one, "either", note=view.map_note(prediction, one), stats=True)
                for one in maps
            ]
    return found


def numbers(picture: str, predictions: Mapping[str, Prediction], pins: Sequence[Pin], direction: Direction) -> None:
    """The table: a row for each map and point, then the means over the picture.

    Args:
        picture: its digest.
        predictions: of the models that have run.
        pins: the points.
        direction: where they look, or who looks at them.
    """
    maps = [(one, map_) for one in predictions.values() for map_ in one.spatial_maps]
    rows = []
    with st.spinner("Working out the numbers …"):
        means = [of_picture(picture, one.model, map_.name, direction, one, map_) for one, map_ in maps]
        for number, pin in enumerate(pins, start=1):
            for (one, map_), mean in zip(maps, means, strict=True):
                found = of_point(picture, one.model, map_.name, pin.y, pin.x, direction, one, map_)
                own = one.classes[one.labels[pin.y, pin.x]]
                depends = mean.dependence if mean else None
                rows.append(view.MapRow(str(number), view.map_title(one, map_), own, found, depends))
    for (one, map_), mean in zip(maps, means, strict=True):
        whole = (mean.mean, mean.dependence) if mean else (None, None)
        rows.append(view.MapRow("mean", view.map_title(one, map_), None, *whole))
    st.subheader(TITLES[direction])
    values = view.same_pixel_columns(rows)
    show_table(
        values,
        view.SAME_PIXEL_COLUMNS,
        "Numbers of each map at the pinned points, and their means over the picture",
        "Model",
    )
    as_csv(values, f"same-pixel-{direction}")


@st.cache_resource(max_entries=1024, show_spinner=False)
def of_picture(
    picture: str, model: str, name: str, direction: Direction, _prediction: Prediction, _map: SpatialMap
) -> view.PictureNumbers | None:
    """A map's numbers over the whole picture; `picture`, `model` and `name` stand for the other two."""
    return view.picture_numbers(_prediction, _map, direction)


@st.cache_resource(max_entries=8192, show_spinner=False)
def of_point(
    picture: str, model: str, name: str, y: int, x: int, direction: Direction, _prediction: Prediction, _map: SpatialMap
) -> MapStatistics | None:
    """The numbers of an image pixel's map."""
    return view.point_numbers(_prediction, _map, y, x, direction)
