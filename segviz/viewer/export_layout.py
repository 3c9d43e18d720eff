"""Which subplots an export of the viewer has, and in how many columns they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segviz.viewer.display import Display
from segviz.viewer.panel import Panel


def choose_columns(count: int, usual: int) -> int:
    """The columns of `count` subplots: as usual, unless the last row of several would hold a single subplot."""
    if count <= usual or usual == 1:
        return max(1, min(usual, count))
    near = (usual, usual + 1, max(2, usual - 1), usual + 2)
    return next((columns for columns in near if count % columns != 1), usual)


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
