"""The points that a visitor pins, on all pages."""

from __future__ import annotations

from collections.abc import Sequence

from segviz.ui.state import session
from segviz.ui.viewer import latest_choice, latest_pins, take_pins
from segviz.viewer.panel import Pin


def current_pins(page: str, start: Sequence[Pin] = ()) -> tuple[Pin, ...]:
    """The pins inside the picture, with the newest edit that the browser sent from the page's viewer.

    Args:
        page: the page's key.
        start: the pins of a visitor who has not pinned any yet.
    """
    state = session()
    pins = latest_pins(page, start if state.pins is None else state.pins)
    return pins_inside(pins)


def choose_pin(page: str, pins: Sequence[Pin]) -> int | None:
    """The index of the pin to explain: the one that the reader chose in the viewer's list or added last.

    Args:
        page: the page's key.
        pins: the pins as they are now.
    """
    state, choice = session(), latest_choice(page)
    if choice is not None and choice[0] != state.choice:
        state.choice, state.chosen_pin = choice
    if state.pins_before is not None and (added := [pin for pin in pins if pin not in state.pins_before]):
        state.chosen_pin = added[-1].y, added[-1].x
    state.pins_before = tuple(pins)
    places = [(pin.y, pin.x) for pin in pins]
    if not places:
        return None
    return places.index(state.chosen_pin) if state.chosen_pin in places else len(places) - 1


def choose_linked_pin(pins: Sequence[Pin], number: int | None) -> None:
    """Make a link's pin the one to explain, by its number; None for the last one."""
    state, pin = session(), next((pin for pin in pins if pin.number == number), None)
    state.chosen_pin = None if pin is None else (pin.y, pin.x)
    state.pins_before = None


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
