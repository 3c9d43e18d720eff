"""The panels that show a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Prediction
from segviz.text import percent_text
from segviz.viewer.panel import Panel, Pin, ShareMap
from segviz.viewer.panels_of_maps import fix_panels, labels_panel, panels_of_features, panels_of_map


def prediction_panel(prediction: Labelled, title: str = "Prediction", note: str = "") -> Panel:
    """The predicted classes over the picture."""
    return labels_panel(prediction.labels, prediction.class_set, title, note, prediction.model)


def feature_panels(prediction: Prediction, name: str = "") -> tuple[Panel, ...]:
    """Channel means of the block's output and of its context (FLANet Fig. 6); without a block, of the features."""
    return panels_of_features(prediction.attended, bool(prediction.maps), name, prediction.model)


def panels_of_maps(prediction: Prediction) -> list[Panel]:
    """The panels of all of a prediction's maps, following the pointer."""
    return [panel for attention in prediction.maps.values() for panel in panels_of_map(attention, prediction.model)]


def pin_rows(
    prediction: Prediction, panels: Sequence[Panel], pins: Sequence[Pin], more: Mapping[int, Panel] | None = None
) -> list[Panel]:
    """A row for each pin: where it is and what is there, then the panels fixed to it, and its panel of `more`."""
    rows = []
    for index, pin in enumerate(pins):
        name = prediction.classes[prediction.labels[pin.y, pin.x]]
        note = f"{name}, confidence {percent_text(prediction.confidence[pin.y, pin.x])}"
        rows.append(Panel(f"Point {pin.number}", None, "plain", pin=index, note=note, leads=True))
        rows += fix_panels(panels, pins, index)
        if more is not None:  # a panel that could not be computed leaves its room
            rows.append(more.get(index) or Panel(f"Influence on point {pin.number}", None, "plain", pin=index))
    return rows


def confidence_panel(prediction: Labelled, title: str) -> Panel:
    """How sure the model is of what it predicts: the softmax of the winning class."""
    shares = ShareMap(prediction.confidence)
    return Panel(title, shares, "shares", note="softmax of the predicted class, from 0 to 1", model=prediction.model)
