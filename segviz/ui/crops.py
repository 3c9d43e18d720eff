"""A published network that sees crops: its answer for the crop around a place, and the panels that lie over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from segviz.attention.region import nearest_region
from segviz.prediction.prediction import CropView, Place
from segviz.text import join_with_commas
from segviz.ui.models import short_title
from segviz.ui.network_answer import NetworkAnswer, watch_network
from segviz.ui.picture import Picture
from segviz.viewer.panel import Panel, Pin


def answer_around(answer: NetworkAnswer, picture: Picture, place: Place) -> NetworkAnswer:
    """The answer with the maps of the crop around a pixel (y, x); as it is where the network saw the whole picture.

    Where the engine has none, the page has a sentence, and the answer stays as it is.
    """
    if answer.crop is None:
        return answer
    number = nearest_region(answer.crop.regions, place)
    if answer.crop.regions[number] == answer.crop.region:
        return answer
    middle = middle_of_crop(answer.crop, number, picture)
    return watch_network(answer.name, picture, place=middle, quiet=True) or answer


def middle_of_crop(crop: CropView, number: int, picture: Picture) -> Place:
    """The middle of one of the crops, inside the picture: one question for all places of a crop."""
    inside = crop.regions[number].within(picture.size)
    return inside.top + inside.height // 2, inside.left + inside.width // 2


def lay_over_crop(panels: Iterable[Panel], answer: NetworkAnswer) -> list[Panel]:
    """The panels over the crop that the answer's maps belong to; as they are where it saw the whole picture."""
    return [panel if answer.crop is None else replace(panel, region=answer.crop.region) for panel in panels]


def asked_place(pins: Sequence[Pin], rest: Place | None, picture: Picture) -> Place:
    """The pixel (y, x) whose crop a page shows: the last pin's, else where the page begins, else the middle."""
    if pins:
        return pins[-1].y, pins[-1].x
    return rest or (picture.size[0] // 2, picture.size[1] // 2)


def crops_sentence(answers: Sequence[NetworkAnswer]) -> str:
    """Which networks saw crops, and whose maps these are; "" where none did."""
    titles = [short_title(one.name) for one in answers if one.crop is not None]
    if not titles:
        return ""
    their = "their authors show it. Their maps are" if len(titles) > 1 else "its authors show it. Its map is"
    return (
        f"{join_with_commas(titles)} saw the picture in crops, as {their} of the crop around the last pin; pin a "
        "point elsewhere to see the crop there."
    )
