"""What a panel or a page shows, as a value: rows of panels, each a picture with at most one thing over it.

`drawing.py` draws a sheet for print, `interactive.py` for a notebook, and `segviz/export.py` writes it to files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Float, UInt8

from segviz.data.classes import ClassSet
from segviz.image import Rgb
from segviz.views.colour import Scale, weight_scale
from segviz.views.overlay import legend

Place = tuple[int, int]  # an image pixel (y, x)
Arrays = dict[str, np.ndarray]
FEW_SCALES = 3
KINDS = {"linear": "linear", "log": "log", "percentile": "1st to 99th percentile"}


@dataclass(frozen=True, eq=False)
class Heat:
    """Values on a grid, stretched over the picture.

    Attributes:
        values: one a cell.
        scale: which values the colour bar's ends stand for.
        unit: of the values, in words.
        colours: a name of COLOUR_MAPS.
        aligned: the corner cells' centres lie on the corner pixels', as on PSA's shrunk grid.
        even: the even share, 1 / cells, marked on the bar; None where values are no shares.
    """

    values: Float[np.ndarray, "rows columns"]
    scale: Scale
    unit: str
    colours: str = "viridis"
    aligned: bool = False
    even: float | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """An affinity A[j, i] between channels: j, down, draws from i, across. It lies over no picture."""

    values: Float[np.ndarray, "channels channels"]
    scale: Scale
    unit: str = "weight"
    colours: str = "viridis"


@dataclass(frozen=True, eq=False)
class Classes:
    """Class indices at the picture's size, in the classes' colours; with `outlined`, lines where classes meet."""

    labels: UInt8[np.ndarray, "height width"]
    class_set: ClassSet
    outlined: bool = False


@dataclass(frozen=True, eq=False)
class Points:
    """Sampled places (y, x) in the picture's pixels with their weights, and where they would lie undisplaced."""

    at: Float[np.ndarray, "points 2"]
    weights: Float[np.ndarray, " points"]
    undisplaced: Float[np.ndarray, "points 2"]
    scale: Scale
    unit: str = "weight"
    colours: str = "viridis"


@dataclass(frozen=True, eq=False)
class Bars:
    """A value for each of many channels, drawn from the least to the largest; `middle` is marked."""

    values: Float[np.ndarray, " channels"]
    unit: str
    middle: float


Content = Heat | Matrix | Classes | Points | Bars
Scaled = Heat | Matrix | Points


@dataclass(frozen=True)
class Pin:
    """A marked pixel (y, x) of the picture; a number of 0 is not shown."""

    y: int
    x: int
    number: int = 0


@dataclass(frozen=True)
class Box:
    """A marked rectangle in pixels of the picture: from `top`, `left` up to and without `bottom`, `right`."""

    top: float
    left: float
    bottom: float
    right: float
    colour: str


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a sheet.

    Attributes:
        title: above it; without one it belongs to the title of its column.
        image: the picture.
        content: what lies over it, or stands in its place; None shows the picture alone.
        name: of its numbers in files, such as "collect_120_300_seen_from".
        model: whose content it is.
        place: the pixel (y, x) that the content is asked from.
        pins: marked pixels.
        boxes: marked rectangles.
    """

    title: str
    image: Rgb
    content: Content | None = None
    name: str = ""
    model: str = ""
    place: Place | None = None
    pins: tuple[Pin, ...] = ()
    boxes: tuple[Box, ...] = ()

    @property
    def scale(self) -> Scale | None:
        """That of its content, where it has one."""
        return self.content.scale if isinstance(self.content, Scaled) else None

    def arrays(self) -> Arrays:
        """The numbers behind it, by name; none of a bare picture."""
        match self.content:
            case None:
                return {}
            case Classes(labels=labels):
                return {self.name: labels}
            case Points(at=at, weights=weights):
                return {f"{self.name}_positions": at, f"{self.name}_weights": weights}
            case Heat(values=values) | Matrix(values=values) | Bars(values=values):
                return {self.name: values}


@dataclass(frozen=True, eq=False)
class Sheet:
    """A titled page of panels.

    Attributes:
        title: what it shows.
        rows: panels, None where a cell stays empty.
        opacity: of what lies over pictures, in [0, 1].
    """

    title: str
    rows: tuple[tuple[Panel | None, ...], ...]
    opacity: float = 0.65

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, row by row."""
        return tuple(panel for row in self.rows for panel in row if panel is not None)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, each once."""
        return tuple(dict.fromkeys(panel.model for panel in self.panels if panel.model))

    @property
    def places(self) -> tuple[Place, ...]:
        """The pixels (y, x) that are asked from or marked, each once."""
        found = [place for panel in self.panels for place in (panel.place, *((pin.y, pin.x) for pin in panel.pins))]
        return tuple(dict.fromkeys(place for place in found if place is not None))

    def arrays(self) -> Arrays:
        """The numbers of all panels; a name that comes twice with other numbers gets a number of its own."""
        found: Arrays = {}
        for panel in self.panels:
            for name, values in panel.arrays().items():
                if not any(values is known for known in found.values()):
                    found[unused(name, found)] = values
        return found

    def class_legend(self) -> tuple[tuple[str, tuple[int, int, int]], ...]:
        """Name and colour of every class that a panel shows, in index order."""
        shown = [panel.content for panel in self.panels if isinstance(panel.content, Classes)]
        entries = {entry for one in shown for entry in legend(one.labels, one.class_set) if entry.share > 0}
        return tuple(dict.fromkeys((one.name, one.colour) for one in sorted(entries, key=lambda one: one.index)))

    def details(self) -> dict[str, Any]:
        """Title, and of every panel its model, pixel, scale and grid, as JSON has them; what files carry along."""
        return {"title": self.title, "models": list(self.models), "panels": list(map(panel_details, self.panels))}

    def caption(self) -> str:
        """Title, models, pixels and scales in one line."""
        parts = [self.title]
        if self.models:
            parts.append(("model " if len(self.models) == 1 else "models ") + ", ".join(self.models))
        if self.places:
            named = ", ".join(f"({y}, {x})" for y, x in self.places)
            parts.append(f"pixel (y, x) {named}")
        return "; ".join(parts + scales_text([panel.scale for panel in self.panels if panel.scale]))


def panel_details(panel: Panel) -> dict[str, Any]:
    """What files carry along of one panel."""
    found: dict[str, Any] = {"title": panel.title, "model": panel.model, "arrays": list(panel.arrays())}
    found["pixel"] = list(panel.place) if panel.place else None
    found["picture"] = list(panel.image.shape[:2])
    content = panel.content
    if isinstance(content, Scaled):
        scale = content.scale
        found["scale"] = {"kind": scale.kind, "low": scale.low, "high": scale.high, "unit": content.unit}
    if isinstance(content, Classes):
        found["classes"] = list(content.class_set.names)
    return found


def scales_text(scales: Sequence[Scale]) -> list[str]:
    """The scales in words: all of a few; of many their kinds, as each has its bar."""
    found = list(dict.fromkeys(map(scale_text, scales)))
    if len(found) <= FEW_SCALES:
        return found
    return [f"each map on its own {kind} scale" for kind in dict.fromkeys(KINDS[scale.kind] for scale in scales)]


def scale_text(scale: Scale) -> str:
    """The scale in words."""
    return f"{KINDS[scale.kind]} scale {scale.low:.3g} to {scale.high:.3g}"


def unused(name: str, taken: Mapping[str, object]) -> str:
    """The name, or with the first free number from 2."""
    return next(one for one in numbered(name) if one not in taken)


def numbered(name: str) -> Iterator[str]:
    """`name`, `name_2`, `name_3`, and so on."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def on_one_scale(panels: Sequence[Panel]) -> list[Panel]:
    """The panels, with one scale for all maps, and one for all samples, of the same unit; of the first one's kind."""
    found = []
    for panel in panels:
        content = panel.content
        if isinstance(content, Heat | Points):
            alike = [one for one in (each.content for each in panels) if same_quantity(one, content)]
            scale = weight_scale(*map(values_of, alike), kind=content.scale.kind)
            content = replace(content, scale=scale)
        found.append(replace(panel, content=content))
    return found


def same_quantity(one: Content | None, other: Heat | Points) -> TypeGuard[Heat | Points]:
    """Whether values of the two can be compared."""
    return isinstance(one, type(other)) and one.unit == other.unit


def values_of(content: Scaled) -> np.ndarray:
    """What the colours stand for."""
    return content.weights if isinstance(content, Points) else content.values
