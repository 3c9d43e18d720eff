"""Where a page begins: the pixel that it shows before anybody points."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from segviz.figures.interesting_places import disputed_place, telling_place, why_disputed, why_telling
from segviz.prediction.labelled import Labelled
from segviz.prediction.prediction import Place, Prediction
from segviz.ui.picture import Picture
from segviz.ui.state import Sight, session
from segviz.viewer.panel import Pin

FIRST_MODEL = "ema"  # its maps follow the picture, and its scores need its context; test_first_sight.py holds both


def first_place(prediction: Prediction, picture: Picture) -> Place:
    """The pixel (y, x) at which a page of one model begins: where its first map tells most (`telling_place`)."""
    return _telling_place(prediction.model, picture.seen_digest, prediction)


def first_disputed(predictions: Sequence[Labelled], picture: Picture) -> Place:
    """The pixel (y, x) at which a page that compares answers begins: inside the largest disagreement."""
    return _disputed_place(tuple(one.model for one in predictions), picture.seen_digest, predictions)


def why_first(prediction: Prediction, picture: Picture) -> str:
    """Why a page of one model begins at `first_place`."""
    return _why_telling(prediction.model, picture.seen_digest, prediction, first_place(prediction, picture))


def why_first_disputed(predictions: Sequence[Labelled], picture: Picture) -> str:
    """Why a page that compares answers begins at `first_disputed`."""
    return why_disputed([one.labels for one in predictions], first_disputed(predictions, picture))


def say_why(why: str) -> str:
    """A sentence on where a page begins, from a reason of `why_first` or `why_first_disputed`."""
    return f"The page begins {why}; point or click elsewhere."


def tell_first(why: str) -> str:
    """What the viewer says while the reader has neither pinned nor pointed; "" without a reason."""
    return f"No point is pinned. {say_why(why)}" if why else ""


def first_seen(page: str, picture: Picture, pins: Sequence[Pin], rest: Place | None) -> Place:
    """The pixel (y, x) that the open page showed first of this picture: the last pin then, or where the page begins."""
    height, width = picture.size
    start = rest or (height // 2, width // 2)
    state, source = session(), (page, picture.digest, start)
    if state.sight is None or state.sight.source != source:
        state.sight = Sight(source, (pins[-1].y, pins[-1].x) if pins else start)
    return state.sight.place


@st.cache_resource(max_entries=256, show_spinner=False)
def _telling_place(model: str, picture: str, _prediction: Prediction) -> Place:
    maps = _prediction.spatial_maps
    return telling_place(_prediction.labels, maps[0] if maps else None)


@st.cache_resource(max_entries=256, show_spinner=False)
def _why_telling(model: str, picture: str, _prediction: Prediction, place: Place) -> str:
    maps = _prediction.spatial_maps
    return why_telling(_prediction.labels, maps[0] if maps else None, place)


@st.cache_resource(max_entries=256, show_spinner=False)
def _disputed_place(models: tuple[str, ...], picture: str, _predictions: Sequence[Labelled]) -> Place:
    return disputed_place([one.labels for one in _predictions])
