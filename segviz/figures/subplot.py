"""One part of a figure: a picture, what is drawn over it, and marked pixels and rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from segviz.figures.colour import Scale, joint_scale
from segviz.figures.content import Bars, Classes, Content, Heat, Matrix, Points, Scaled, Scatter, Strips, same_quantity
from segviz.image import Rgb
from segviz.prediction.prediction import Place

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Mark:
    """A marked pixel (y, x) of the picture: a ring, or a numbered drop if `number` is at least 1."""

    y: int
    x: int
    number: int = 0
    colour: str = "#FF3B30"


@dataclass(frozen=True)
class Box:
    """A marked rectangle in pixels of the picture, its line dashed or not; `bottom` and `right` are exclusive."""

    top: float
    left: float
    bottom: float
    right: float
    colour: str
    label: str = ""
    dashed: bool = False


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
            case Scatter() as scatter:
                return {self.name: scatter.values}
            case Heat(values=values) | Matrix(values=values) | Bars(values=values):
                return {self.name: values}


def subplot_details(subplot: Subplot) -> dict[str, Any]:
    """The metadata of one subplot alone, as JSON values."""
    details: dict[str, Any] = {"title": subplot.title, "model": subplot.model}
    details["pixel"] = list(subplot.place) if subplot.place else None
    details["picture"] = list(subplot.image.shape[:2])
    content = subplot.content
    if isinstance(content, Scaled):
        scale = content.scale
        details["scale"] = {"kind": scale.kind, "low": scale.low, "high": scale.high, "unit": content.unit}
        details["colours"] = content.colours
    if isinstance(content, Heat) and content.region is not None:
        details["crop"] = astuple(content.region)
    if isinstance(content, Scatter):
        details |= {"dots": [[dot.name, dot.group] for dot in content.dots], "axes": [content.across, content.up]}
    if isinstance(content, Classes):
        details |= {"classes": list(content.class_set.names), "hidden": list(content.hidden)}
    return details


def share_scale(subplots: Sequence[Subplot]) -> list[Subplot]:
    """The subplots with one scale for all maps of the same unit, and one for all samples of the same unit."""
    scaled = []
    for subplot in subplots:
        content = subplot.content
        if isinstance(content, Heat | Points):
            alike = [one for one in (each.content for each in subplots) if same_quantity(one, content)]
            content = replace(content, scale=joint_scale([one.scale for one in alike]))
        scaled.append(replace(subplot, content=content))
    return scaled
