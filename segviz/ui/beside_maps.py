"""What a page shows beside a model's maps: influence at pinned points, or similarity of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import streamlit as st

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine import CompareFeatures, EngineError, MeasureInfluence, Op, engine
from segviz.models.registry import MODELS
from segviz.prediction.prediction import Prediction
from segviz.prediction.similarity import STAGES
from segviz.text import escape_markdown
from segviz.ui.influence_panel import influence_panel
from segviz.ui.models import show_notes
from segviz.ui.picture import Picture
from segviz.ui.wait_for_engine import session_id, wait_for
from segviz.ui.widgets import keep_widget
from segviz.viewer.panel import Panel, Pin
from segviz.viewer.panels_of_maps import panels_of_map

MAPS_ALONE, INFLUENCE = "nothing", "influence"
BESIDE: Mapping[str, str] = MappingProxyType(
    {MAPS_ALONE: "nothing", INFLUENCE: "influence at pinned points"}
    | {stage: f"similarity: {title}" for stage, title in STAGES.items()}
)
INFLUENCE_HELP = (
    "Influence: the gradient of the winning class's score at a pinned point with respect to the block's input, through "
    "the block's context alone. Every block has one."
)
SIMILARITY_HELP = "Similarity: the cosine of the point's feature with every place's."


def pick_beside(page: str, model: str) -> str:
    """What the reader wants beside the maps: a name in BESIDE; a model without a block has no influence."""
    offered = [name for name in BESIDE if name != INFLUENCE or MODELS[model].maps]
    help_ = f"{INFLUENCE_HELP} {SIMILARITY_HELP}"
    kept = keep_widget(f"{page} beside", MAPS_ALONE, offered, linked=tuple(BESIDE))
    return str(st.selectbox("Beside the maps", offered, format_func=BESIDE.__getitem__, help=help_, width=320, **kept))


def similarity_panels(model: str, picture: Picture, beside: str) -> list[Panel]:
    """The panel of the chosen stage's similarity, following the pointer; none if another thing was chosen."""
    stage = next((one for one in STAGES if one == beside), None)
    map_ = None if stage is None else ask_beside(model, picture, CompareFeatures(stage), "similarity")
    panels = () if map_ is None else panels_of_map(map_, model)
    return [replace(panel, note=f"cosine of features: {STAGES[stage]}") for panel in panels if stage]


def influence_panels(
    picture: Picture, prediction: Prediction, pins: Sequence[Pin], title: str = "Influence"
) -> dict[int, Panel]:
    """A panel for each pin, by its index; those that the engine could not compute are missing."""
    panels = {}
    with st.container():  # however many answers are waited for, what follows keeps its place
        for index, pin in enumerate(pins):
            op, words = MeasureInfluence((pin.y, pin.x)), f"influence on point {pin.number}"
            influence = ask_beside(prediction.model, picture, op, words)
            if influence is not None:
                panels[index] = influence_panel(influence, prediction, pins, index, title)
    return panels


def last_pin_influences(
    picture: Picture, predictions: Mapping[str, Prediction], pins: Sequence[Pin], every: bool
) -> list[Panel]:
    """For the last pin, a panel of the influence on each model's answer there.

    Args:
        picture: the picture.
        predictions: the predictions of the models that have run.
        pins: the pinned points.
        every: every block's, beside its maps; else only those of blocks that have no map of places.
    """
    panels, last = [], len(pins) - 1
    with st.container():  # however many answers are waited for, what follows keeps its place
        for name, prediction in predictions.items():
            if not pins or not MODELS[name].maps or (prediction.spatial_maps and not every):
                continue
            op = MeasureInfluence((pins[last].y, pins[last].x))
            influence = ask_beside(name, picture, op, f"influence on point {pins[last].number}")
            if influence is not None:
                panels.append(influence_panel(influence, prediction, pins, last, f"{MODELS[name].title}: influence"))
    return panels


def ask_beside(model: str, picture: Picture, op: Op, words: str) -> Any:
    """The engine's value for a model; None, with a warning, if it has none.

    Args:
        model: the model's name.
        picture: the picture.
        op: what is asked.
        words: what it is, for the spinner; different from those of the run's other questions to the model.
    """
    try:
        result = wait_for(engine().ask(model, picture, op, session_id()), f"{MODELS[model].title}: {words}")
    except (CheckpointError, EngineError) as error:
        st.warning(escape_markdown(f"{MODELS[model].title}: {error}."), icon=":material/warning:")
        return None
    show_notes(model, result)
    return result.value
