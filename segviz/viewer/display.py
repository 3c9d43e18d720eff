"""The viewer's settings: read from the browser or an address, and written into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from segviz.attention.direction import Direction
from segviz.scales import ScaleKind

Colours = Literal["viridis", "cividis", "magma", "gray"]
Range = Literal["own", "shared"]
Cells = Literal["smooth", "cells"]
ScaleChoice = Literal["auto", "linear", "log", "percentile"]  # a ScaleKind, or each map's own start

CHOICES: Mapping[str, tuple[str, ...]] = {
    "colours": get_args(Colours),
    "range": get_args(Range),
    "scale": get_args(ScaleChoice),
    "cells": get_args(Cells),
    "direction": get_args(Direction),
}  # settings.js has the same ones
MOST_HIDDEN = 256


@dataclass(frozen=True)
class Display:
    """The viewer's settings; every visit begins with the defaults.

    Attributes:
        colours: the colour map of weights; maps with negative values have their own.
        opacity: the opacity of maps over the picture, in percent.
        range: whether each map has its own scale, or all maps of one unit share one.
        scale: linear, logarithmic, linear from the 1st to the 99th percentile, or each map as its panel starts.
        cells: whether maps are smooth between the cells' centres, or drawn cell by cell.
        direction: what panels of the look "either" show: what the point attends to, or what it is attended by.
        outlines: whether lines are drawn where classes meet.
        strongest: whether lettered boxes mark the five strongest cells.
        hidden: the names of classes that are switched off.
    """

    colours: Colours = "viridis"
    opacity: int = 65
    range: Range = "own"
    scale: ScaleChoice = "auto"
    cells: Cells = "smooth"
    direction: Direction = "attends_to"
    outlines: bool = False
    strongest: bool = False
    hidden: tuple[str, ...] = ()

    def scale_kind(self, start: ScaleKind = "linear") -> ScaleKind:
        """The kind of scale of a map that starts with `start`."""
        return start if self.scale == "auto" else self.scale

    @classmethod
    def of(cls, values: Mapping[str, Any], start: Display | None = None) -> Display:
        """The settings in a mapping from outside; unknown names and values stay as in `start`, or the default.

        Numbers and switches may be text, as in an address: "30", "true"; "hidden" is a list of names.
        """
        settings: dict[str, Any] = {}
        for name, choices in CHOICES.items():
            if isinstance(values.get(name), str) and values[name] in choices:
                settings[name] = values[name]
        opacity = values.get("opacity")
        if isinstance(opacity, str) and opacity.isascii() and opacity.isdigit() and len(opacity) <= 3:
            opacity = int(opacity)
        if type(opacity) is int and 0 <= opacity <= 100:
            settings["opacity"] = opacity
        for name in ("outlines", "strongest"):
            if values.get(name) is True or values.get(name) == "true":
                settings[name] = True
        hidden = values.get("hidden")
        if isinstance(hidden, list | tuple):
            names = {name for name in hidden if isinstance(name, str)}
            settings["hidden"] = tuple(sorted(names)[:MOST_HIDDEN])
        return replace(start or cls(), **settings)

    def as_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return asdict(self) | {"hidden": list(self.hidden)}

    def changes(self, start: Display | None = None) -> dict[str, str | list[str]]:
        """The settings that differ from `start`, or the defaults, as text for an address; `Display.of` reads it."""
        before, settings = asdict(start or Display()), {}
        for name, value in asdict(self).items():
            if value != before[name]:
                settings[name] = list(value) if isinstance(value, tuple) else str(value).lower()
        return settings
