"""Panels as the browser's viewer needs them: plain JSON values, with maps by address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from segviz.attention.maps import NetworkMap, SpatialMap
from segviz.viewer.display import Display
from segviz.viewer.panel import PIN_COLOURS, LabelMap, Panel, PanelMap, Pin, ScalarMap
from segviz.viewer.view import ZoomedView

Address = Callable[[PanelMap], str]  # where the browser finds a map


def describe_viewer(
    picture: str,
    size: tuple[int, int],
    panels: Sequence[Panel],
    pins: Sequence[Pin],
    address: Address,
    *,
    columns: int,
    max_pins: int,
    rest: tuple[int, int] | None = None,
    first: str = "",
    display: Display | None = None,
    view: ZoomedView | None = None,
) -> dict[str, Any]:
    """All that a viewer shows, as viewer.js reads it.

    Args:
        picture: the picture's address.
        size: its (height, width), in which pixels are counted.
        panels: what to show over it.
        pins: the pinned points.
        address: gives a map's address.
        columns: how many panels stand side by side where there is room.
        max_pins: how many points can be kept.
        rest: the pixel (y, x) whose maps are shown before anybody points, where there are no pins; None for the middle.
        first: what is said of that pixel, until the reader points or pins.
        display: the settings to begin with; None for those that the reader had before.
        view: the zoom to begin with.
    """
    return {
        "picture": picture,
        "height": size[0],
        "width": size[1],
        "columns": columns,
        "panels": [describe_panel(panel, pins, address) for panel in panels],
        "pins": [(pin.y, pin.x, pin.colour) for pin in pins],
        "echo": None,
        "colours": PIN_COLOURS,
        "maxPins": max_pins,
        "rest": rest,
        "first": first,
        "settings": None if display is None else display.as_dict(),
        "view": None if view is None else view.as_dict(),
        "chosen": None,
    }


def describe_panel(panel: Panel, pins: Sequence[Pin], address: Address) -> dict[str, Any]:
    """A panel: the map by address, the pin by number and colour."""
    own = pins[panel.pin] if panel.pin is not None and panel.pin < len(pins) else None
    at = panel.at if panel.at is not None or own is None else (own.y, own.x)
    config: dict[str, Any] = {"title": panel.title, "note": panel.note, "look": panel.look, "at": at}
    if own is not None:
        config["pin"] = {"number": own.number, "colour": PIN_COLOURS[own.colour]}
    config |= {name: True for name in ("stats", "pending", "wide", "leads") if getattr(panel, name)}
    if not panel.legend:
        config["legend"] = False
    if panel.start != "linear":
        config["start"] = panel.start
    if panel.region is not None:
        config["region"] = astuple(panel.region)
    if panel.worth:
        config["worth"] = panel.worth
    if panel.sides is not None:
        config["sides"] = [describe_panel(side, (), address) for side in panel.sides]
    config["map"] = None if panel.map is None else address(panel.map)
    if isinstance(panel.map, LabelMap):
        config |= {"classes": panel.map.classes, "palette": panel.map.palette.tolist()}
        if panel.map.levels:
            config["levels"] = True
    if isinstance(panel.map, SpatialMap) and panel.map.unit != "weight":
        config |= {"unit": panel.map.unit, "signed": panel.map.signed}
    if isinstance(panel.map, NetworkMap):
        config |= {"head": panel.head, "heads": panel.map.heads, "query": panel.query}
    if isinstance(panel.map, ScalarMap):
        config |= {"unit": panel.map.unit, "signed": panel.map.signed}
    return config
