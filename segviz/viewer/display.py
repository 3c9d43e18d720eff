"""How a reader has the viewer drawn: the settings, from the browser or an address, and back into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from segviz.attention.maps import Direction

Colours = Literal["viridis", "cividis", "magma", "gray"]
Range = Literal["own", "shared"]
Scale = Literal["linear", "log", "percentile"]
Cells = Literal["smooth", "cells"]

CHOICES: Mapping[str, tuple[str, ...]] = {
    "colours": get_args(Colours),
    "range": get_args(Range),
    "scale": get_args(Scale),
    "cells": get_args(Cells),
    "direction": get_args(Direction),
}  # settings.js has the same ones
MOST_HIDDEN = 256


@dataclass(frozen=True)
class Display:
    """The viewer's settings; the defaults are where every visit begins.

    Attributes:
        colours: the colour map of weights; maps with negative values have their own.
        opacity: of the maps over the picture, in percent.
        range: the scale spans each map, or all maps of the same unit.
        scale: linear, logarithmic, or linear from the 1st to the 99th percentile.
        cells: maps smooth between cells' centres, or cell by cell.
        direction: which way panels of the look "either" look.
        outlines: lines where classes meet.
        strongest: lettered boxes on the five strongest cells.
        hidden: the names of classes that are switched off.
    """

    colours: Colours = "viridis"
    opacity: int = 65
    range: Range = "own"
    scale: Scale = "linear"
    cells: Cells = "smooth"
    direction: Direction = "attends_to"
    outlines: bool = False
    strongest: bool = False
    hidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any], start: Display | None = None) -> Display:
        """The settings in a mapping from outside; what is unknown, or no choice, stays as in `start`, or the default.

        Numbers and switches may be text, as in an address: "30", "true"; hidden names a list.
        """
        found: dict[str, Any] = {}
        for name, choices in CHOICES.items():
            if isinstance(given.get(name), str) and given[name] in choices:
                found[name] = given[name]
        opacity = given.get("opacity")
        if isinstance(opacity, str) and opacity.isascii() and opacity.isdigit() and len(opacity) <= 3:
            opacity = int(opacity)
        if type(opacity) is int and 0 <= opacity <= 100:
            found["opacity"] = opacity
        for name in ("outlines", "strongest"):
            if given.get(name) is True or given.get(name) == "true":
                found[name] = True
        hidden = given.get("hidden")
        if isinstance(hidden, list | tuple):
            names = {name for name in hidden if isinstance(name, str)}
            found["hidden"] = tuple(sorted(names)[:MOST_HIDDEN])
        return replace(start or cls(), **found)

    def as_dict(self) -> dict[str, Any]:
        """All settings as JSON has them."""
        return asdict(self) | {"hidden": list(self.hidden)}

    def changed(self, start: Display | None = None) -> dict[str, str | list[str]]:
        """The settings unlike `start`, or the defaults, as text for an address; `Display.of` reads it back."""
        before, found = asdict(start or Display()), {}
        for name, value in asdict(self).items():
            if value != before[name]:
                found[name] = list(value) if isinstance(value, tuple) else str(value).lower()
        return found
