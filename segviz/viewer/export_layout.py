"""Which subplots an export of the viewer has, and in how many columns they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from segviz.viewer.display import Display
from segviz.viewer.panel import FOLLOW, Panel


def choose_columns(count: int, usual: int, together: int = 1) -> int:
    """The columns of `count` subplots: as usual, unless the last row of several would hold a single subplot.

    Args:
        count: how many subplots there are.
        usual: the viewer's columns.
        together: how many subplots of a pin stand side by side; no row ends between them.
    """
    if count <= usual or usual == 1:
        return max(1, min(usual, count))
    near = (usual, usual + 1, max(2, usual - 1), usual + 2)
    whole = (columns for columns in near if columns % together == 0 or columns >= count)
    return next((columns for columns in whole if count % columns != 1), usual)


def leave_out_repeats(panels: Sequence[Panel], pins: int, display: Display) -> tuple[list[Panel], bool]:
    """The panels as a file shows them, each map once, though one that follows the pointer rests on the last pin.

    Where all maps that follow the pointer have copies fixed to the last pin, the rows of the pins show everything: what
    follows goes, with what only stands in for a pin's panel. If the prediction alone is left before the first pin's
    row, it takes the place of that row's bare picture. Where only some have copies, the last pin's copies go instead.

    Args:
        panels: the viewer's panels.
        pins: how many points are pinned.
        display: the settings.

    Returns:
        The panels, and whether they are whole rows of the pins.
    """
    copies = {what_it_shows(panel, display) for panel in panels if panel.pin == pins - 1 and panel.map is not None}
    following = [panel for panel in panels if panel.pin is None and panel.at is None and panel.look in FOLLOW]
    repeated = {what_it_shows(panel, display) for panel in following} & copies
    if not repeated:
        return list(panels), False
    if any(what_it_shows(panel, display) not in repeated for panel in following):
        return [one for one in panels if one.pin != pins - 1 or what_it_shows(one, display) not in repeated], False
    stands_in = [panel for panel in panels[1:] if panel.pin is None and panel.look == "plain"]
    gone = {id(panel) for panel in (*following, *stands_in)}
    left = [panel for panel in panels if id(panel) not in gone]
    lead = list(takewhile(lambda panel: panel.pin is None, left))
    if len(lead) == 1 and len(left) > 1 and left[1].look == "plain":
        del left[1]
        return left, True
    return left, not lead


def what_it_shows(panel: Panel, display: Display) -> tuple[object, ...]:
    """What a panel draws at whatever place it is: the map, how, and which head or query of it."""
    return (*map_key(panel, display)[:2], panel.head, panel.query, panel.region)


def split_swipe(panel: Panel) -> tuple[Panel, ...]:
    """Both sides of a swipe panel as panels of their own; any other panel itself."""
    if panel.sides is None:
        return (panel,)
    return tuple(
        replace(side, title=f"{panel.title}, {where}: {side.title}", at=panel.at, pin=panel.pin)
        for side, where in zip(panel.sides, ("left", "right"), strict=True)
    )


def mark_new(panel: Panel, panels: Sequence[Panel], display: Display) -> list[bool]:
    """For each part of a panel, whether it is drawn: a side of a swipe panel is not if a panel shows the same."""
    if panel.sides is None:
        return [True]
    shown = {map_key(one, display) for one in panels if one.sides is None}
    return [map_key(side, display) not in shown for side in split_swipe(panel)]


def map_key(panel: Panel, display: Display) -> tuple[object, ...]:
    """What a panel draws: the map, how, and from where."""
    look = display.direction if panel.look == "either" else panel.look
    return id(panel.map), look, panel.at, panel.pin
