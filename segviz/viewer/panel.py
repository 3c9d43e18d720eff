"""What the viewer can show: maps, panels and pins, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from segviz.attention.head_map import HeadChoice
from segviz.attention.maps import (
    AttendedFeatures,
    DeformableQueries,
    MultiHeadAttention,
    NetworkMap,
    ObjectQueryMap,
    SpatialMap,
)
from segviz.attention.region import Region
from segviz.scales import ScaleKind
from segviz.viewer import wire

Look = Literal[
    "attends_to",
    "attended_by",
    "either",
    "strip",
    "points",
    "query",
    "output",
    "context",
    "values",
    "labels",
    "shares",
    "plain",
    "swipe",
]

FOLLOW = ("attends_to", "attended_by", "either", "strip", "points", "query")  # looks that may depend on the point

# Okabe and Ito's colours, told apart with any common colour blindness; the order puts the strongest first.
PIN_COLOURS = ("#D55E00", "#56B4E9", "#F0E442", "#009E73", "#CC79A7", "#0072B2", "#E69F00", "#FFFFFF")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A class index for every pixel of the picture, the classes' names, and their colours (n, 3).

    With `levels`, the classes are steps from less to more: the legend keeps their order, and outlines are always drawn.
    """

    labels: UInt8[np.ndarray, "height width"]
    classes: tuple[str, ...]
    palette: UInt8[np.ndarray, "classes 3"]
    levels: bool = False


@dataclass(frozen=True, eq=False)
class ShareMap:
    """A share in [0, 1], or NaN, for every pixel of the picture; its scale is from 0 to 1."""

    shares: Float[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class ScalarMap:
    """A number for each cell of any grid over the picture, the same wherever the pointer is.

    Attributes:
        values: none infinite; NaN stands out.
        unit: what a value counts, in a word or two; maps of one unit can share a scale.
        signed: whether values below 0 can occur: then 0 is the middle of the scale, and of its two colours.
    """

    values: Float32[np.ndarray, "rows columns"]
    unit: str
    signed: bool


PanelMap = wire.PackableMap | LabelMap | ShareMap | ScalarMap


@dataclass(frozen=True)
class Pin:
    """A point that the reader keeps: image pixels, and an index into PIN_COLOURS that no other pin has."""

    y: int
    x: int
    colour: int

    @property
    def number(self) -> int:
        """Its number for readers, from 1; it goes with the colour, so it stays while other pins come and go."""
        return self.colour + 1


def number_pins(pins: Iterable[Pin]) -> tuple[Pin, ...]:
    """The pins, each with a colour and so a number of its own; at most as many as there are colours.

    A pin keeps its colour unless an earlier one has it; then it gets the first that no pin has.
    """
    kept = tuple(pins)[: len(PIN_COLOURS)]
    taken: set[int] = set()
    free = [colour for colour in range(len(PIN_COLOURS)) if colour not in {pin.colour for pin in kept}]
    numbered = []
    for pin in kept:
        numbered.append(replace(pin, colour=free.pop(0)) if pin.colour in taken else pin)
        taken.add(pin.colour)
    return tuple(numbered)


@dataclass(frozen=True)
class Panel:
    """One picture of the viewer, with a map over it.

    Attributes:
        title: the heading; also the panel's name in the page (`data-panel`).
        map: what is drawn; None for the plain picture and for a swipe panel.
        look: which of the map's answers: "attends_to" row p, "attended_by" column p, "either" of the two as the reader
            chooses for the whole viewer, "strip" the strip of p, "points" the samples of p or of an object query,
            "query" what one query that is not in the picture draws from each place (see `query`), "output" or "context"
            of attended features, "values" of a scalar map, "labels", "shares", "plain"; "swipe" shows two maps beside a
            divider.
        at: the image pixel (y, x) that the panel always shows; None follows the pointer and rests on the last pin.
        pin: the index of the pin that the panel belongs to; its colour frames the panel, and its place is used where
            `at` is None.
        note: one line beside the title.
        stats: whether a line below gives the weights' entropy and mean distance. A plain picture with stats keeps the
            room and the switches for a map that may look "either" way, so that nothing moves when the map comes.
        pending: whether a plain picture keeps the room for a map without statistics.
        sides: what a swipe panel shows to the left and to the right of its divider; the panels' titles, maps, looks,
            stats and models count.
        model: the name of the model that made the map; "" where no model did, as for the ground truth.
        wide: whether the panel takes half of a row, or all of it where no other panel is wide.
        leads: whether it begins a row, however many panels the row before has.
        legend: whether the classes of a label map are listed below it; without, one list below all panels has them.
        start: the kind of scale that the map has while the reader has not chosen one (`start_scale.set_starts`).
        worth: what the map's context is worth, in a line of its own; "" where the page says it.
        head: a network's map: which head is drawn, by its number, or the "mean" or the "largest" of all.
        query: for the look "query", the number of the object query, or of the token off the picture; None draws the
            object query that draws most from the point.
        region: the crop of the picture over which the map lies, where the network saw a crop; None: all of it.
    """

    title: str
    map: PanelMap | None
    look: Look
    at: tuple[int, int] | None = None
    pin: int | None = None
    note: str = ""
    stats: bool = False
    pending: bool = False
    sides: tuple[Panel, Panel] | None = None
    model: str = ""
    wide: bool = False
    leads: bool = False
    legend: bool = True
    start: ScaleKind = "linear"
    worth: str = ""
    head: HeadChoice = "mean"
    query: int | None = None
    region: Region | None = None

    def __post_init__(self) -> None:
        """Check that the look suits the map.

        Raises:
            ValueError: it does not.
        """
        fits = {
            "plain": self.map is None,
            "swipe": self.map is None,
            "labels": isinstance(self.map, LabelMap),
            "shares": isinstance(self.map, ShareMap),
            "values": isinstance(self.map, ScalarMap),
            "output": isinstance(self.map, AttendedFeatures),
            "context": isinstance(self.map, AttendedFeatures),
            "query": self._has_query(),
            "points": self._has_points(),
        }.get(
            self.look,
            isinstance(self.map, SpatialMap | NetworkMap)
            and ("attends_to" if self.look == "either" else self.look) in self.map.looks,
        )
        if not fits:
            raise ValueError(f"panel '{self.title}': a {type(self.map).__name__} has no look '{self.look}'")
        if (self.look == "swipe") != (self.sides is not None):
            raise ValueError(f"panel '{self.title}': the look 'swipe' and two sides go together; give both or neither")
        for side in self.sides or ():
            if side.look in ("swipe", "points"):
                raise ValueError(f"panel '{self.title}': '{side.look}' cannot be one side of a swipe panel")
        heads = self.map.heads if isinstance(self.map, NetworkMap) else 0
        if self.head not in ("mean", "largest", *range(heads)):
            raise ValueError(f"panel '{self.title}': there is no head {self.head!r}; the map has {heads}")

    @property
    def follows(self) -> bool:
        """Whether its map depends on the pointed place; that of a query off the picture is the same for each."""
        return self.look in FOLLOW and self.query is None

    def _has_query(self) -> bool:
        """Whether the map has the query."""
        if isinstance(self.map, ObjectQueryMap):
            return self.query is None or 0 <= self.query < self.map.query_count
        return isinstance(self.map, MultiHeadAttention) and self.query in range(self.map.prefix)

    def _has_points(self) -> bool:
        """Whether the map samples points, of the pointed cell or of the query."""
        if isinstance(self.map, DeformableQueries):
            return self._has_query()
        return isinstance(self.map, SpatialMap | NetworkMap) and "points" in self.map.looks
