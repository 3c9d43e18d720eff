"""The live viewer as a page sees it: panels over one picture, linked in the browser, and the pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import streamlit as st
from jaxtyping import UInt8

from segviz.prediction.prediction import Place
from segviz.ui.component import mount
from segviz.ui.state import session
from segviz.ui.viewer_blobs import map_url, picture_url
from segviz.viewer import source
from segviz.viewer.describe_panel import describe_viewer
from segviz.viewer.display import Display
from segviz.viewer.panel import PIN_COLOURS, Panel, Pin, number_pins
from segviz.viewer.view import ZoomedView

MESSAGE = 100  # characters of a message about a lost map


def latest_pins(key: str, stored: Sequence[Pin]) -> tuple[Pin, ...]:
    """The pins after the browser's newest edit if this run brought one, else the stored ones.

    Ask for them before building panels that depend on pins; `show_panels` then needs no second run.
    """
    edit = _edit(key)
    if edit is None or _edit_id(edit) == session().edits.get(key):
        return tuple(stored)
    pins = (_parse_pin(entry) for entry in edit["pins"])
    return number_pins(pin for pin in pins if pin is not None)


def take_pins(key: str, stored: Sequence[Pin]) -> tuple[Pin, ...]:
    """The latest pins; the browser's edit that brought them counts as taken in from now on."""
    pins, edit = latest_pins(key, stored), _edit(key)
    if edit is not None:
        session().edits[key] = _edit_id(edit)
    return pins


def latest_display(key: str, stored: Display | None = None) -> Display:
    """The settings that the browser last sent from this viewer, else the stored ones, else the defaults.

    The browser sends them only to pages that give `display` to `show_panels`, 0.3 s after the last change.
    """
    settings = _component_state(key).get("settings")
    return Display.of(settings) if isinstance(settings, Mapping) else stored or Display()


def latest_choice(key: str) -> tuple[str, Place] | None:
    """The pin that the reader chose last in this viewer: an id of the choice, and the pin's pixel (y, x)."""
    choice = _component_state(key).get("choice")
    if not isinstance(choice, Mapping):
        return None
    y, x = choice.get("y"), choice.get("x")
    return (f"{choice.get('mount')} {choice.get('count')}"[:MESSAGE], (y, x)) if type(y) is type(x) is int else None


def latest_view(key: str, stored: ZoomedView) -> ZoomedView:
    """The view that the browser last sent from this viewer, else the stored one."""
    return ZoomedView.of(_component_state(key).get("view")) or stored


def show_panels(
    image: UInt8[np.ndarray, "height width 3"],
    panels: Sequence[Panel],
    pins: Sequence[Pin],
    *,
    key: str,
    columns: int = 2,
    max_pins: int = 8,
    display: Display | None = None,
    view: ZoomedView | None = None,
    digest: str = "",
    chosen: int | None = None,
    rest: Place | None = None,
    first: str = "",
) -> tuple[Pin, ...]:
    """Mount the viewer and return the pins as they are now.

    Inside a fragment, a pin costs a run of the fragment; hovering costs nothing. Keep the returned pins in the
    session: the component's own state is lost when the page changes.

    Args:
        image: the picture.
        panels: what to show over it.
        pins: the points to begin with.
        key: the component's key; what the browser sends is kept under it.
        columns: how many panels stand side by side where there is room.
        max_pins: how many points can be pinned.
        display: the settings that a new viewer begins with. With them, each later change by the reader runs the
            script once, after a pause, and `latest_display` returns it; without, changes stay in the browser.
        view: the zoom that a new viewer begins with; what the browser sends of it is as with `display` (`latest_view`).
        digest: the picture's digest where the caller has it; "" to compute it.
        chosen: the index of the pin that the page computes something for; its entry in the list is marked, and the
            reader can choose another one (`latest_choice`). None where the page has no such pin.
        rest: the pixel (y, x) whose maps are shown before anybody points, where there are no pins; None for the middle.
        first: what is said of that pixel, until the reader points or pins.

    Raises:
        ValueError: the image is not (H, W, 3) of uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.dtype} of shape {image.shape}; pass (H, W, 3) uint8 RGB")
    height, width = image.shape[:2]
    inside = [pin for pin in take_pins(key, pins) if pin.y < height and pin.x < width]
    now = tuple(inside[:max_pins])
    edit = session().edits.get(key)
    mount(
        _component(),
        describe_viewer(
            picture_url(image, digest),
            (height, width),
            panels,
            now,
            map_url,
            columns=columns,
            max_pins=max_pins,
            rest=rest,
            first=first,
            display=display,
            view=view,
        )
        | {
            "echo": None if edit is None else {"mount": edit[0], "seq": edit[1]},
            "lost": _lost_map(key),
            "chosen": chosen,
        },
        key=key,
        on_edit_change=lambda: None,
        on_settings_change=lambda: None,
        on_view_change=lambda: None,
        on_lost_change=lambda: None,
        on_choice_change=lambda: None,
    )
    return now


@cache
def _component() -> Any:
    return st.components.v2.component(
        "segviz_viewer", html=source.read_markup(), css=source.read_style(), js=source.join_scripts()
    )


# ---- what the browser sends -------------------------------------------------------------------------------
# An edit is {"mount": id of the viewer's instance, "seq": its number, "pins": [[y, x, colour], ...]}. It comes
# from outside, so nothing in it is taken for granted.


def _component_state(key: str) -> Mapping[str, Any]:
    """What the browser sent from the viewer."""
    state = st.session_state.get(key)
    return state if isinstance(state, Mapping) else {}


def _lost_map(key: str) -> str | None:
    """The browser's message that the server no longer had a map; sent back, it makes the browser fetch again.

    The run that the message caused has put the map back: `map_url` packs again what the store dropped.
    """
    lost = _component_state(key).get("lost")
    return lost if isinstance(lost, str) and len(lost) <= MESSAGE else None


def _edit(key: str) -> Mapping[str, Any] | None:
    """The browser's newest edit of the pins, if there is a well-formed one."""
    edit = _component_state(key).get("edit")
    if not isinstance(edit, Mapping) or not isinstance(edit.get("pins"), list):
        return None
    return edit if isinstance(edit.get("mount"), str) and isinstance(edit.get("seq"), int) else None


def _edit_id(edit: Mapping[str, Any]) -> tuple[str, int]:
    return edit["mount"], edit["seq"]


def _parse_pin(entry: object) -> Pin | None:
    """A pin from the browser, or None if it cannot be one."""
    if not isinstance(entry, list) or len(entry) != 3 or not all(type(value) is int for value in entry):
        return None
    y, x, colour = entry
    return Pin(y, x, colour) if y >= 0 and x >= 0 and 0 <= colour < len(PIN_COLOURS) else None
