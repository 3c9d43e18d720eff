"""Inspect for a published network that sees crops: classes of all crops, and maps of the crop around a pinned point."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.attention.region import nearest_region
from segviz.engine import CompareStage
from segviz.prediction.similarity import STAGES
from segviz.text import escape_markdown
from segviz.ui.crops import answer_around, asked_place, lay_over_crop, middle_of_crop
from segviz.ui.models import short_title
from segviz.ui.network_answer import NetworkAnswer, ask_network, describe_pin
from segviz.ui.picture import Picture
from segviz.ui.pins import current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.ui.widgets import keep_widget
from segviz.viewer.panel import Panel
from segviz.viewer.panels_of_maps import fix_panels, labels_panel, panels_of_map

CROPS_PAGE = "inspect"
PROTOCOL_KEY, IN_CROPS, SEEN_WHOLE = f"{CROPS_PAGE} protocol", "in crops", "whole"


def pick_whole(controls: DeltaGenerator) -> bool:
    """Whether the reader wants a network that slides crops to see the picture whole."""
    kept = keep_widget(PROTOCOL_KEY, IN_CROPS, (IN_CROPS, SEEN_WHOLE), linked=(IN_CROPS, SEEN_WHOLE))
    help_ = "In crops, as its authors show pictures; or whole, so that maps are over all of the picture."
    return bool(
        controls.segmented_control("Sees the picture", (IN_CROPS, SEEN_WHOLE), help=help_, **kept) == SEEN_WHOLE
    )


@st.fragment
def inspect_crops(picture: Picture, answer: NetworkAnswer, beside: str) -> None:
    """The picture with the maps of the crop around the last pinned point, then each point with those of its own crop.

    Args:
        picture: the picture.
        answer: the network's answer, with any of its crops.
        beside: the stage whose features' similarity stands beside the maps, a name in STAGES; any other text: none.
    """
    pins = current_pins(CROPS_PAGE)
    place = asked_place(pins, None, picture)
    crop, classes = answer.crop, answer.classes
    assert crop is not None and classes is not None
    places = [(pin.y, pin.x) for pin in pins] or [place]
    numbers = [nearest_region(crop.regions, one) for one in places]
    panels: dict[int, Sequence[Panel]] = {}
    with st.container():  # however many crops are waited for, what follows keeps its place
        for at, one in zip(numbers, places, strict=True):
            if at not in panels:
                around = answer_around(answer, picture, one)
                panels[at] = panels_over_crop(around, picture, beside)
    number = numbers[-1]
    st.caption(
        escape_markdown(
            f"{short_title(answer.name)} saw the picture in {len(crop.regions)} crops, as its authors show it. Classes "
            f"are of all crops; maps are of the crop around the last pin: {crop.regions[number]}. Pin a point "
            "elsewhere to see the crop there."
        )
    )
    rows = []
    for at, pin in enumerate(pins):
        rows.append(Panel(f"Point {pin.number}", None, "plain", pin=at, note=describe_pin(answer, pin), leads=True))
        rows += fix_panels(panels[numbers[at]], pins, at)
    lead = labels_panel(classes.labels, classes.class_set, "Prediction", model=answer.name)
    following = panels[number]
    show_viewer(picture, [lead, *following, *rows], page=CROPS_PAGE, columns=1 + len(following), rest=place)


def panels_over_crop(answer: NetworkAnswer, picture: Picture, beside: str) -> Sequence[Panel]:
    """The maps of an answer's crop, and the similarity of a stage's features within it."""
    panels = [panel for one in answer.maps.values() for panel in panels_of_map(one, answer.name)]
    stage, crop = next((one for one in STAGES if one == beside), None), answer.crop
    if stage is not None and crop is not None:
        number = crop.regions.index(crop.region)
        op = CompareStage(stage, middle_of_crop(crop, number, picture))
        title = f"{short_title(answer.name)}: similarity in crop {number + 1}"
        value = ask_network(answer.name, picture, op, title, quiet=True)
        panels += [] if value is None else panels_of_map(value, answer.name)
    return lay_over_crop(panels, answer)
