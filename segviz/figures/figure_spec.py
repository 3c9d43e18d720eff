"""What a subplot or a page shows, as a value: rows of subplots, each a picture with at most one thing over it.

`matplotlib_backend.py` draws a spec for print, `plotly_backend.py` for a notebook, and `export.py` writes it to files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Float, UInt8

from segviz.data.classes import ClassSet
from segviz.figures.colour import Scale, joint_scale
from segviz.figures.overlay import legend
from segviz.image import Rgb
from segviz.prediction.prediction import Place
from segviz.text import pixel_text

Arrays = dict[str, np.ndarray]
FEW_SCALES = 3
SCALE_WORDS = {"linear": "linear", "log": "log", "percentile": "1st to 99th percentile"}


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
        smooth: between cells' centres; cell by cell if not.
    """

    values: Float[np.ndarray, "rows columns"]
    scale: Scale
    unit: str
    colours: str = "viridis"
    aligned: bool = False
    even: float | None = None
    smooth: bool = True


@dataclass(frozen=True, eq=False)
class Matrix:
    """An affinity A[j, i] between channels: j, down, draws from i, across. It lies over no picture."""

    values: Float[np.ndarray, "channels channels"]
    scale: Scale
    unit: str = "weight"
    colours: str = "viridis"


@dataclass(frozen=True, eq=False)
class Classes:
    """Class indices at the picture's size, in the classes' colours.

    Attributes:
        labels: the indices; those that are no class are left bare.
        class_set: the classes.
        outlined: lines where classes meet.
        hidden: names of classes that are left bare; the numbers have them all the same.
        levels: the classes are steps up from the first; lines lie where it ends.
    """

    labels: UInt8[np.ndarray, "height width"]
    class_set: ClassSet
    outlined: bool = False
    hidden: tuple[str, ...] = ()
    levels: bool = False

    @property
    def shown(self) -> tuple[int, ...]:
        """The indices of the classes that are not hidden."""
        return tuple(index for index, name in enumerate(self.class_set.names) if name not in self.hidden)

    @property
    def seen(self) -> UInt8[np.ndarray, "height width"]:
        """The indices of what is seen; all else is void."""
        return np.where(np.isin(self.labels, self.shown), self.labels, np.uint8(self.class_set.void))

    @property
    def parted(self) -> UInt8[np.ndarray, "height width"]:
        """What lines lie between: the classes that are seen; of levels only the first, or none, and all others."""
        seen = self.seen
        return np.where(seen == self.class_set.void, 0, seen).clip(0, 1) if self.levels else seen


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


@dataclass(frozen=True, eq=False)
class Strips:
    """The weight that places give to each strip, the places' bars side by side; the even share is marked.

    Attributes:
        weights: a row for each place, which sums to 1.
        names: of the places.
        colours: of the places, as "#D55E00".
        unit: of the weights, in words.
    """

    weights: Float[np.ndarray, "places strips"]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    unit: str = "weight"


Content = Heat | Matrix | Classes | Points | Bars | Strips
Scaled = Heat | Matrix | Points


@dataclass(frozen=True)
class Mark:
    """A marked pixel (y, x) of the picture: a ring, or with a number from 1 a drop that stands on it."""

    y: int
    x: int
    number: int = 0
    colour: str = "#FF3B30"


@dataclass(frozen=True)
class Box:
    """A marked rectangle in pixels of the picture: from `top`, `left` up to and without `bottom`, `right`."""

    top: float
    left: float
    bottom: float
    right: float
    colour: str
    label: str = ""


@dataclass(frozen=True, eq=False)
class Subplot:
    """One picture of a spec.

    Attributes:
        title: above it; without one it belongs to the title of its column.
        image: the picture.
        content: what lies over it, or stands in its place; None shows the picture alone.
        name: of its numbers in files, such as "collect_120_300_attends_to".
        model: whose content it is.
        place: the pixel (y, x) that the content is asked from.
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
        """That of its content, where it has one."""
        return self.content.scale if isinstance(self.content, Scaled) else None

    def arrays(self) -> Arrays:
        """The numbers behind it, by name; none of a bare picture."""
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
    """A titled page of subplots.

    Attributes:
        title: what it shows.
        rows: subplots, None where a cell stays empty.
        opacity: of what lies over pictures, in [0, 1].
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
        """Names of the models, each once."""
        return tuple(dict.fromkeys(subplot.model for subplot in self.subplots if subplot.model))

    @property
    def places(self) -> tuple[Place, ...]:
        """The pixels (y, x) that are asked from or marked, each once."""
        found = [
            place
            for subplot in self.subplots
            for place in (subplot.place, *((mark.y, mark.x) for mark in subplot.marks))
        ]
        return tuple(dict.fromkeys(place for place in found if place is not None))

    def arrays(self) -> Arrays:
        """The numbers of all subplots; a name that comes twice with other numbers gets a number of its own."""
        found: Arrays = {}
        for subplot in self.subplots:
            for name, values in subplot.arrays().items():
                if not any(values is known for known in found.values()):
                    found[free_name(name, found)] = values
        return found

    def class_legend(self) -> tuple[tuple[str, tuple[int, int, int]], ...]:
        """Name and colour of every class that a subplot shows, in index order, one set of classes after the other."""
        shown = [subplot.content for subplot in self.subplots if isinstance(subplot.content, Classes)]
        entries = [
            (one.class_set, entry) for one in shown for entry in legend(one.seen, one.class_set) if entry.share > 0
        ]
        sets = list(dict.fromkeys(classes for classes, _ in entries))
        entries.sort(key=lambda entry: (sets.index(entry[0]), entry[1].index))
        return tuple(dict.fromkeys((entry.name, entry.colour) for _, entry in entries))

    def details(self) -> dict[str, Any]:
        """Title, and of every subplot its model, pixel, scale and grid, as JSON has them; what files carry along."""
        return {
            "title": self.title,
            "models": list(self.models),
            "opacity": self.opacity,
            "panels": list(map(subplot_details, self.subplots)),
        }

    def caption(self) -> str:
        """Title, models, pixels and scales in one line."""
        parts = [self.title]
        if self.models:
            parts.append(("model " if len(self.models) == 1 else "models ") + ", ".join(self.models))
        if self.places:
            parts.append("pixel " + "; ".join(pixel_text(*place) for place in self.places))
        return "; ".join(parts + scales_text(self.subplots))


def subplot_details(subplot: Subplot) -> dict[str, Any]:
    """What files carry along of one subplot."""
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
    """The scales in words: the only one; of a few also whose they are; of many their kinds, as each has its bar."""
    titles: dict[str, list[str]] = {}
    for subplot in subplots:
        if subplot.scale:
            titles.setdefault(scale_text(subplot.scale), []).append(subplot.title)
    named = [name for names in titles.values() for name in dict.fromkeys(names)]
    if len(titles) <= 1 or (len(titles) <= FEW_SCALES and ("" in named or len(set(named)) < len(named))):
        return list(titles)  # a row's later subplots, for one, have no title of their own
    if len(titles) <= FEW_SCALES:
        return [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in titles.items()]
    kinds = dict.fromkeys(SCALE_WORDS[subplot.scale.kind] for subplot in subplots if subplot.scale)
    return [f"each map on its own {kind} scale" for kind in kinds]


def scale_text(scale: Scale) -> str:
    """The scale in words."""
    return f"{SCALE_WORDS[scale.kind]} scale {scale.low:.3g} to {scale.high:.3g}"


def free_name(name: str, taken: Mapping[str, object]) -> str:
    """The name, or with the first free number from 2."""
    return next(one for one in numbered_names(name) if one not in taken)


def numbered_names(name: str) -> Iterator[str]:
    """`name`, `name_2`, `name_3`, and so on."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def share_scale(subplots: Sequence[Subplot]) -> list[Subplot]:
    """The subplots, with one scale for all maps, and one for all samples, of the same unit."""
    found = []
    for subplot in subplots:
        content = subplot.content
        if isinstance(content, Heat | Points):
            alike = [one for one in (each.content for each in subplots) if same_quantity(one, content)]
            content = replace(content, scale=joint_scale([one.scale for one in alike]))
        found.append(replace(subplot, content=content))
    return found


def same_quantity(one: Content | None, other: Heat | Points) -> TypeGuard[Heat | Points]:
    """Whether values of the two can be compared."""
    return isinstance(one, type(other)) and one.unit == other.unit


def values_of(content: Scaled) -> np.ndarray:
    """What the colours stand for."""
    return content.weights if isinstance(content, Points) else content.values
