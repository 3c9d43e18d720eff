"""What the Attribution page explains: a model's classes, the layer that Grad-CAM reads, and its maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.attention.maps import PlacedMap, SpatialMap
from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Place
from segviz.text import escape_markdown
from segviz.ui.first_sight import first_place
from segviz.ui.inspect_network import first_of
from segviz.ui.models import predict_or_stop, short_title
from segviz.ui.network_answer import watch_network
from segviz.ui.picture import Picture
from segviz.ui.widgets import forget_linked, keep_widget

LAYER = "attribution layer"


@dataclass(frozen=True)
class ExplainedModel:
    """What is explained.

    Attributes:
        prediction: the model's classes.
        layer: the layer that Grad-CAM reads, of a network of one's own; "" for a model's block, or none.
        has_layer: whether there is a layer or a block for methods that read one.
        maps: its maps from place to place.
        rest: the pixel (y, x) at which the page begins.
    """

    prediction: Labelled
    layer: str
    has_layer: bool
    maps: Sequence[Any]
    rest: Place


def explain_bundled(model: str, picture: Picture) -> ExplainedModel:
    """A bundled model; stops the page if it cannot run."""
    forget_linked(LAYER)
    prediction = predict_or_stop(model, picture)
    return ExplainedModel(prediction, "", True, prediction.spatial_maps, first_place(prediction, picture))


def explain_network(model: str, picture: Picture, heading: DeltaGenerator) -> ExplainedModel:
    """A network of one's own; stops the page, with a sentence, if it cannot run or has no classes.

    Args:
        model: its name in the catalogue.
        picture: what it sees.
        heading: takes the choice of its layer.
    """
    answer = watch_network(model, picture, whole=True)  # the score is that of the whole picture
    if answer is None:
        st.stop()
    classes = answer.classes
    if classes is None:
        title = escape_markdown(short_title(model))
        st.info(f"{title} has no classes, so there is no score to explain; its maps are on Inspect.")
        st.stop()
    layer, maps = "", list[Any]()
    if answer.has_block:
        forget_linked(LAYER)
        maps = [one for one in answer.maps.values() if isinstance(one, SpatialMap)]
    elif answer.layers:
        kept = keep_widget(LAYER, answer.layers[-1], answer.layers, linked=answer.layers)
        layer = str(heading.selectbox("Layer", answer.layers, width=260, **kept))
        if layer not in answer.maps:
            answer = watch_network(model, picture, (layer,)) or answer
        maps = [one for one in answer.maps.values() if isinstance(one, PlacedMap)]
    else:
        forget_linked(LAYER)
    height, width = picture.size
    return ExplainedModel(
        classes, layer, answer.has_block or bool(layer), maps, first_of(answer, picture) or (height // 2, width // 2)
    )
