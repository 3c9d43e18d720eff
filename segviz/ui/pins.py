"""The points that a visitor keeps, on all pages."""

from __future__ import annotations

from collections.abc import Sequence

from segviz.ui.state import session
from segviz.ui.viewer import latest_pins, take_pins
from segviz.viewer.panel import Pin


def current_pins(page: str, start: Sequence[Pin] = ()) -> tuple[Pin, ...]:
    """The pins inside the picture, with the newest edit that the browser sent from the page's viewer.

    Args:
        page: the page's key.
        start: the pins of a visitor who has not kept any yet.
    """
    state = session()
    pins = latest_pins(page, start if state.pins is None else state.pins)
    return pins_inside(pins)


def pins_inside(pins: Sequence[Pin]) -> tuple[Pin, ...]:
    """The pins that lie inside the picture; none while there is no picture."""
    picture = session().picture
    if picture is None or isinstance(picture, str):
        return ()
    height, width = picture.size
    return tuple(pin for pin in pins if pin.y < height and pin.x < width)


def swap_pins(source: str) -> None:
    """Pins belong to their source of pictures: all drawn streets share one set, a visitor's own pictures another."""
    state = session()
    before, state.pins_source = state.pins_source or source, source
    if before == source:
        return
    latest = take_pins(state.page, state.pins or ())  # with a click that no run has taken in yet
    state.pins_aside[before] = None if state.pins is None and not latest else latest
    state.pins = state.pins_aside.get(source)
