"""What the Attribution page explains: a model's classes, the layer that Grad-CAM reads, and its maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.attention.grid_map import Grid
from segviz.attention.maps import PlacedMap, SpatialMap
from segviz.attention.region import Region
from segviz.figures.interesting_places import LARGEST_CLASS
from segviz.image import working_size
from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Place
from segviz.text import escape_markdown
from segviz.ui.crops import answer_around, asked_place
from segviz.ui.first_sight import first_place, why_first
from segviz.ui.inspect_network import first_of
from segviz.ui.lead_to import lead_to
from segviz.ui.models import predict_or_stop, short_title
from segviz.ui.network_answer import LAYER_HELP, NetworkAnswer, layer_title, watch_network
from segviz.ui.picture import Picture
from segviz.ui.widgets import forget_linked, keep_widget

LAYER = "attribution layer"
BY_ROUNDING = 1.1  # a network's sides are rounded to multiples; by more, it sees finer detail


@dataclass(frozen=True)
class ExplainedModel:
    """What is explained.

    Attributes:
        prediction: the model's classes.
        layer: the layer that Grad-CAM reads, of a network of one's own; "" for a model's block, or none.
        has_layer: whether there is a layer or a block for methods that read one.
        maps: its maps from place to place.
        rest: the pixel (y, x) at which the page begins.
        why: why it begins there.
        crops: the network's answer, with any of its crops, where it sees crops at a point; None: `maps` are all.
        shown: the (height, width) at which the network saw the picture when it predicted; None where it is not known.
    """

    prediction: Labelled
    layer: str
    has_layer: bool
    maps: Sequence[Any]
    rest: Place
    why: str
    crops: NetworkAnswer | None = None
    shown: Grid | None = None


@dataclass(frozen=True)
class SeenPart:
    """What the network sees where a score is taken.

    Attributes:
        maps: its maps from place to place.
        region: the crop that it sees; None for the whole picture.
        size: the (height, width) that methods work on, in pixels as the network sees them.
    """

    maps: Sequence[Any]
    region: Region | None
    size: Grid


def see_part(explained: ExplainedModel, picture: Picture, pixel: Place | None) -> SeenPart:
    """What is seen where the score is taken: of a network that sees crops, the one around a pixel, else all.

    Args:
        explained: the model.
        picture: the picture.
        pixel: (y, x), where the score is taken at one pixel; None for a region or the whole picture.
    """
    working = working_size(*picture.size)
    if explained.crops is None:
        return SeenPart(explained.maps, None, working)
    name = explained.crops.name
    if pixel is None:
        whole = watch_network(name, picture, whole=True, quiet=True)
        return SeenPart(() if whole is None else maps_of_places(whole), None, working)
    answer = answer_around(explained.crops, picture, pixel)
    assert answer.crop is not None
    rows, columns = answer.crop.labels.shape
    return SeenPart(maps_of_places(answer), answer.crop.region, (rows, columns))


def detail_words(title: str, shown: Grid, worked: Grid) -> str:
    """That attributions know less detail than the prediction, in words; "" where they know as much.

    Args:
        title: the network's.
        shown: the (height, width) at which it saw the picture when it predicted.
        worked: the (height, width) of the picture that the methods change.
    """
    if max(own / less for own, less in zip(shown, worked, strict=True)) <= BY_ROUNDING:
        return ""
    return (
        f"{title} predicts on the picture at {shown[1]} x {shown[0]} pixels. Attributions are computed on the picture "
        f"at {worked[1]} x {worked[0]}: finer detail affects neither the maps nor the score, which may differ from the "
        "prediction's."
    )


def maps_of_places(answer: NetworkAnswer) -> list[Any]:
    """The maps from place to place of a network around a block."""
    return [one for one in answer.maps.values() if isinstance(one, SpatialMap)]


def explain_bundled(model: str, picture: Picture) -> ExplainedModel:
    """A bundled model; stops the page if it cannot run."""
    forget_linked(LAYER)
    prediction = predict_or_stop(model, picture)
    maps, rest = prediction.spatial_maps, first_place(prediction, picture)
    return ExplainedModel(prediction, "", True, maps, rest, why_first(prediction, picture), shown=prediction.seen_size)


def explain_network(model: str, picture: Picture, heading: DeltaGenerator) -> ExplainedModel:
    """A network of one's own; stops the page, with a sentence, if it cannot run or has no classes.

    Args:
        model: its name in the catalogue.
        picture: what it sees.
        heading: takes the choice of its layer.
    """
    answer = watch_network(model, picture)
    if answer is None:
        st.stop()
    classes = answer.classes
    if classes is None:
        title = escape_markdown(short_title(model))
        st.info(f"{title} has no classes, so there is no score to explain.")
        lead_to("inspect", f"The maps of {title}")
        st.stop()
    layer, maps = "", list[Any]()
    if answer.has_block:
        forget_linked(LAYER)
        maps = maps_of_places(answer)
    elif answer.layers:
        kept = keep_widget(LAYER, answer.layers[-1], answer.layers, linked=answer.layers)
        layer = str(
            heading.selectbox("Layer", answer.layers, width=260, format_func=layer_title, help=LAYER_HELP, **kept)
        )
        if layer not in answer.maps:
            answer = watch_network(model, picture, (layer,)) or answer
        maps = [one for one in answer.maps.values() if isinstance(one, PlacedMap)]
    else:
        forget_linked(LAYER)
    rest = asked_place((), first_of(answer, picture), picture)
    crops = None if answer.crop is None else answer
    has_layer = answer.has_block or bool(layer)
    return ExplainedModel(classes, layer, has_layer, maps, rest, LARGEST_CLASS, crops, answer.shown)
