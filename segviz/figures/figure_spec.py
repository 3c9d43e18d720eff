"""The description of a figure: rows of subplots, each a picture with at most one map, label map or chart.

`matplotlib_backend.py` draws it for print, `plotly_backend.py` for a notebook, and `export.py` writes it to files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segviz.figures.colour import Scale, joint_scale
from segviz.figures.content import Bars, Classes, Content, Heat, Matrix, Points, Scaled, Strips, same_quantity
from segviz.figures.overlay import legend
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.text import pixel_text

Arrays = dict[str, np.ndarray]
FEW_SCALES = 3
SCALE_WORDS = {"linear": "linear", "log": "log", "percentile": "1st to 99th percentile"}


@dataclass(frozen=True)
class Mark:
    """A marked pixel (y, x) of the picture: a ring, or a numbered drop if `number` is at least 1."""

    y: int
    x: int
    number: int = 0
    colour: str = "#FF3B30"


@dataclass(frozen=True)
class Box:
    """A marked rectangle in pixels of the picture; `bottom` and `right` are exclusive."""

    top: float
    left: float
    bottom: float
    right: float
    colour: str
    label: str = ""


@dataclass(frozen=True, eq=False)
class Subplot:
    """One part of a figure: a picture, what is drawn over it, and its marks.

    Attributes:
        title: text above the picture; empty if the title of the column covers it.
        image: the picture.
        content: what is drawn over the picture or in its place; None shows the picture alone.
        name: name of its arrays in files, such as "collect_120_300_attends_to".
        model: name of the model that made the content.
        place: the pixel (y, x) whose attention the content shows.
        marks: marked pixels.
        boxes: marked rectangles.
    """

    title: str
    image: Rgb
    content: Content | None = None
    name: str = ""
    model: str = ""
    place: Place | None = None
    marks: tuple[Mark, ...] = ()
    boxes: tuple[Box, ...] = ()

    @property
    def scale(self) -> Scale | None:
        """The scale of its content, or None."""
        return self.content.scale if isinstance(self.content, Scaled) else None

    def arrays(self) -> Arrays:
        """The numbers behind it, by name; empty for a bare picture."""
        match self.content:
            case None:
                return {}
            case Classes(labels=labels):
                return {self.name: labels}
            case Strips(weights=weights):
                return {self.name: weights}
            case Points(at=at, weights=weights):
                return {f"{self.name}_positions": at, f"{self.name}_weights": weights}
            case Heat(values=values) | Matrix(values=values) | Bars(values=values):
                return {self.name: values}


@dataclass(frozen=True, eq=False)
class FigureSpec:
    """The description of a figure.

    Attributes:
        title: what the figure shows.
        rows: rows of subplots; None leaves a cell empty.
        opacity: opacity of maps and labels over pictures, in [0, 1].
    """

    title: str
    rows: tuple[tuple[Subplot | None, ...], ...]
    opacity: float = 0.65

    @property
    def subplots(self) -> tuple[Subplot, ...]:
        """All subplots, row by row."""
        return tuple(subplot for row in self.rows for subplot in row if subplot is not None)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, without duplicates."""
        return tuple(dict.fromkeys(subplot.model for subplot in self.subplots if subplot.model))

    @property
    def places(self) -> tuple[Place, ...]:
        """All queried or marked pixels (y, x), without duplicates."""
        found = [
            place
            for subplot in self.subplots
            for place in (subplot.place, *((mark.y, mark.x) for mark in subplot.marks))
        ]
        return tuple(dict.fromkeys(place for place in found if place is not None))

    def arrays(self) -> Arrays:
        """The numbers of all subplots; different arrays of the same name get numbered names."""
        arrays: Arrays = {}
        for subplot in self.subplots:
            for name, values in subplot.arrays().items():
                if not any(values is known for known in arrays.values()):
                    arrays[free_name(name, arrays)] = values
        return arrays

    def class_legend(self) -> tuple[tuple[str, tuple[int, int, int]], ...]:
        """Name and colour of every class that a subplot shows, in index order, one class set after the other."""
        shown = [subplot.content for subplot in self.subplots if isinstance(subplot.content, Classes)]
        entries = [
            (one.class_set, entry)
            for one in shown
            for entry in legend(one.visible_labels, one.class_set)
            if entry.share > 0
        ]
        sets = list(dict.fromkeys(classes for classes, _ in entries))
        entries.sort(key=lambda entry: (sets.index(entry[0]), entry[1].index))
        return tuple(dict.fromkeys((entry.name, entry.colour) for _, entry in entries))

    def details(self) -> dict[str, Any]:
        """The figure's metadata for files, as JSON values: title, and model, pixel and scale of every subplot."""
        return {
            "title": self.title,
            "models": list(self.models),
            "opacity": self.opacity,
            "panels": list(map(subplot_details, self.subplots)),
        }

    def caption(self) -> str:
        """Title, models, pixels and scales, in one line."""
        parts = [self.title]
        if self.models:
            parts.append(("model " if len(self.models) == 1 else "models ") + ", ".join(self.models))
        if self.places:
            parts.append("pixel " + "; ".join(pixel_text(*place) for place in self.places))
        return "; ".join(parts + scales_text(self.subplots))


def subplot_details(subplot: Subplot) -> dict[str, Any]:
    """The metadata of one subplot, as JSON values."""
    found: dict[str, Any] = {"title": subplot.title, "model": subplot.model, "arrays": list(subplot.arrays())}
    found["pixel"] = list(subplot.place) if subplot.place else None
    found["picture"] = list(subplot.image.shape[:2])
    content = subplot.content
    if isinstance(content, Scaled):
        scale = content.scale
        found["scale"] = {"kind": scale.kind, "low": scale.low, "high": scale.high, "unit": content.unit}
        found["colours"] = content.colours
    if isinstance(content, Classes):
        found |= {"classes": list(content.class_set.names), "hidden": list(content.hidden)}
    return found


def scales_text(subplots: Sequence[Subplot]) -> list[str]:
    """The scales in words: a single one alone, a few with their subplots' titles, of many only the kinds."""
    titles: dict[str, list[str]] = {}
    for subplot in subplots:
        if subplot.scale:
            titles.setdefault(scale_text(subplot.scale), []).append(subplot.title)
    named = [name for names in titles.values() for name in dict.fromkeys(names)]
    if len(titles) <= 1 or (len(titles) <= FEW_SCALES and ("" in named or len(set(named)) < len(named))):
        return list(titles)  # titles are missing or repeat, so they cannot name a scale
    if len(titles) <= FEW_SCALES:
        return [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in titles.items()]
    kinds = dict.fromkeys(SCALE_WORDS[subplot.scale.kind] for subplot in subplots if subplot.scale)
    return [f"each map on its own {kind} scale" for kind in kinds]


def scale_text(scale: Scale) -> str:
    """The scale in words."""
    return f"{SCALE_WORDS[scale.kind]} scale {scale.low:.3g} to {scale.high:.3g}"


def free_name(name: str, taken: Mapping[str, object]) -> str:
    """The name, with the first free number from 2 if it is taken."""
    return next(one for one in numbered_names(name) if one not in taken)


def numbered_names(name: str) -> Iterator[str]:
    """Yields `name`, `name_2`, `name_3`, and so on."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def share_scale(subplots: Sequence[Subplot]) -> list[Subplot]:
    """The subplots with one scale for all maps of the same unit, and one for all samples of the same unit."""
    found = []
    for subplot in subplots:
        content = subplot.content
        if isinstance(content, Heat | Points):
            alike = [one for one in (each.content for each in subplots) if same_quantity(one, content)]
            content = replace(content, scale=joint_scale([one.scale for one in alike]))
        found.append(replace(subplot, content=content))
    return found
