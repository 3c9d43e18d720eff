"""Inspect for a published network whose authors slide crops: classes of all crops, and the maps of one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from segviz.prediction.crops import nearest_region
from segviz.prediction.prediction import CropView, Place
from segviz.text import escape_markdown
from segviz.ui.display_settings import current_display
from segviz.ui.models import short_title
from segviz.ui.network_answer import NetworkAnswer, watch_network
from segviz.ui.permalink import MOST_PINS
from segviz.ui.picture import Picture
from segviz.ui.pins import current_pins
from segviz.ui.show_viewer import show_viewer
from segviz.ui.state import session
from segviz.ui.viewer import latest_pins, show_panels
from segviz.ui.widgets import keep_widget
from segviz.viewer.panel import LabelMap, Panel, Pin
from segviz.viewer.panels_of_prediction import fix_to_pin, labels_panel, panels_of_map

CROPS_PAGE = "inspect"
PROTOCOL_KEY, IN_CROPS, SEEN_WHOLE = f"{CROPS_PAGE} protocol", "in crops", "whole"
CROP_COLOURS = np.array([(213, 94, 0), (128, 128, 128)], np.uint8)  # the crop, and the rest of the picture


def pick_whole(controls: DeltaGenerator) -> bool:
    """Whether the reader wants a network that slides crops to see the picture whole."""
    kept = keep_widget(PROTOCOL_KEY, IN_CROPS, (IN_CROPS, SEEN_WHOLE), linked=(IN_CROPS, SEEN_WHOLE))
    help_ = "In crops, as its authors show pictures; or whole, so that maps are over all of the picture."
    return bool(
        controls.segmented_control("Sees the picture", (IN_CROPS, SEEN_WHOLE), help=help_, **kept) == SEEN_WHOLE
    )


@st.fragment
def inspect_crops(picture: Picture, answer: NetworkAnswer) -> None:
    """The whole picture, where a kept point chooses the crop; below it, that crop with its maps.

    Args:
        picture: the picture.
        answer: the network's answer, with the crop around the picture's middle.
    """
    pins, middle = current_pins(CROPS_PAGE), (picture.size[0] // 2, picture.size[1] // 2)
    assert answer.crop is not None and answer.classes is not None
    place = (pins[-1].y, pins[-1].x) if pins else middle
    number = nearest_region(answer.crop.regions, place)
    if number != answer.crop.regions.index(answer.crop.region):
        place_in_it = centre_of(answer.crop, number, picture)
        answer = watch_network(answer.name, picture, place=place_in_it, quiet=True) or answer
    crop, classes = answer.crop, answer.classes
    assert crop is not None and classes is not None
    st.caption(
        escape_markdown(
            f"{short_title(answer.name)} saw the picture in {len(crop.regions)} crops, as its authors show it. Classes "
            f"are of all crops; maps are of one, {crop.region}. Click a place to see the crop around it."
        )
    )
    panels = [
        labels_panel(classes.labels, classes.class_set, "Prediction", model=answer.name),
        crop_panel(picture, crop),
    ]
    show_viewer(picture, panels, page=CROPS_PAGE, columns=2, rest=place)
    show_crop(picture, answer, crop, [pin for pin in pins if (pin.y, pin.x) in crop.region], place)


def centre_of(crop: CropView, number: int, picture: Picture) -> Place:
    """The middle of one of the crops, inside the picture: one question for all places of a crop."""
    inside = crop.regions[number].within(picture.size)
    return inside.top + inside.height // 2, inside.left + inside.width // 2


def crop_panel(picture: Picture, crop: CropView) -> Panel:
    """Where the crop lies in the picture."""
    labels, inside = np.ones(picture.size, np.uint8), crop.region.within(picture.size)
    labels[inside.top : inside.top + inside.height, inside.left : inside.left + inside.width] = 0
    shown = LabelMap(labels, ("the crop below", "the rest"), CROP_COLOURS)
    number = crop.regions.index(crop.region) + 1
    return Panel("Crop", shown, "labels", note=f"{number} of {len(crop.regions)}: {crop.region}")


def show_crop(picture: Picture, answer: NetworkAnswer, crop: CropView, pins: Sequence[Pin], place: Place) -> None:
    """The crop with its maps; its points are its own, and new points of the picture that lie in it join them."""
    key = f"{CROPS_PAGE} crop {answer.name} {picture.digest[:8]} {crop.region.top} {crop.region.left}"
    kept = session().crop_pins
    first = tuple(Pin(*crop.pixel((pin.y, pin.x)), pin.colour) for pin in pins)
    before, own = kept.get(key, ((), ()))
    own = latest_pins(key, (*own, *(pin for pin in first if pin not in before)))[-MOST_PINS:]
    maps = [panel for one in answer.maps.values() for panel in panels_of_map(one, answer.name)]
    assert answer.classes is not None
    lead = labels_panel(crop.labels, answer.classes.class_set, "The crop", model=answer.name)
    rows = []
    for number, pin in enumerate(own):
        name = answer.classes.class_set.names[crop.labels[pin.y, pin.x]]
        note = f"{name}, confidence {crop.confidence[pin.y, pin.x]:.0%}"
        rows.append(Panel(f"Point {number + 1}", None, "plain", pin=number, note=note))
        rows += [fix_to_pin(one, number) for one in maps]
    st.subheader("Maps of the crop", anchor=False)
    rest = crop.pixel(place) if place in crop.region else None
    display = current_display(CROPS_PAGE)
    shown = show_panels(
        crop.image, [lead, *maps, *rows], own, key=key, columns=1 + len(maps), display=display, rest=rest
    )
    kept[key] = first, shown
