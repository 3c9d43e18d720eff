"""Which subplots an export of the viewer has, and in how many columns they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, takewhile

from segviz.viewer.display import Display
from segviz.viewer.panel import Panel


def row_lengths(pins: Sequence[int | None], usual: int) -> list[int]:
    """How many subplots each row of a file has, in order; none is empty.

    With several pins that have subplots of their own, side by side, each pin begins a row, and so does what follows the
    rows of the pins; otherwise the subplots follow one another.

    Args:
        pins: for each subplot, the index of the pin that it belongs to; None for those of no pin.
        usual: the viewer's columns.
    """
    runs = [(pin, len(list(run))) for pin, run in groupby(pins)]
    own = [length for pin, length in runs if pin is not None]
    lengths = [length for _, length in runs] if len(own) > 1 and max(own) > 1 else [len(pins)]
    columns = choose_columns(lengths, usual)
    return [min(columns, length - first) for length in lengths for first in range(0, length, columns)]


def choose_columns(lengths: Sequence[int], usual: int) -> int:
    """The columns of rows of these lengths: as usual, unless a row that is broken would leave a single subplot.

    Args:
        lengths: how many subplots each row has before it is broken.
        usual: the viewer's columns.
    """
    longest = max(lengths)
    if longest <= usual or usual == 1:
        return max(1, min(usual, longest))
    near = (usual, usual + 1, max(2, usual - 1), usual + 2)
    whole = (columns for columns in near if all(one <= columns or one % columns != 1 for one in lengths))
    return next(whole, usual)


def leave_out_repeats(panels: Sequence[Panel], pins: int, display: Display) -> list[Panel]:
    """The panels as a file shows them, each map once, though one that follows the pointer rests on the last pin.

    Where all maps that follow the pointer have copies fixed to the last pin, the rows of the pins show everything: what
    follows goes, with what only stands in for a pin's panel. If the prediction alone is left before rows of pins, it
    takes the place of the first row's bare picture: a row of its own would be empty but for it. Where only some have
    copies, the last pin's copies go instead.

    Args:
        panels: the viewer's panels.
        pins: how many points are pinned.
        display: the settings.
    """
    copies = {what_it_shows(panel, display) for panel in panels if panel.pin == pins - 1 and panel.map is not None}
    following = [panel for panel in panels if panel.pin is None and panel.at is None and panel.follows]
    repeated = {what_it_shows(panel, display) for panel in following} & copies
    if not repeated:
        return list(panels)
    if any(what_it_shows(panel, display) not in repeated for panel in following):
        return [one for one in panels if one.pin != pins - 1 or what_it_shows(one, display) not in repeated]
    stands_in = [panel for panel in panels[1:] if panel.pin is None and panel.look == "plain"]
    gone = {id(panel) for panel in (*following, *stands_in)}
    left = [panel for panel in panels if id(panel) not in gone]
    lead = list(takewhile(lambda panel: panel.pin is None, left))
    if len(lead) == 1 and left[1].look == "plain":
        left[:2] = [replace(lead[0], pin=left[1].pin)] if lead[0].look != "plain" else left[1:2]
    return left


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
