"""What a subplot shows over its picture, or in its place: a map, a matrix, labels, samples or bars, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from jaxtyping import Float, UInt8

from segviz.attention.region import Region
from segviz.data.classes import ClassSet
from segviz.figures.colour import Scale


@dataclass(frozen=True, eq=False)
class Heat:
    """Values on a grid, stretched over the picture.

    Attributes:
        values: one value per cell.
        scale: the values at the ends of the colour bar.
        unit: the unit of the values, in words.
        colours: name of a colour map in COLOUR_MAPS.
        features: the grid that the cells were drawn from, as PSA's shrunk grid is; None if it is the values' own.
        even: the even share, 1 / cells, marked on the colour bar; None if the values are not weights that sum to 1.
        smooth: whether to interpolate between cell centres; if not, cells are drawn as blocks.
        percent: whether pictures show the values in percent, as the app does; files of numbers hold them as they are.
        covers: the height and width that the grid covers, in those of the picture; above 1 where a network saw the
            picture padded below and at the right.
        region: the crop of the picture that the grid divides; None: all of it.
    """

    values: Float[np.ndarray, "rows columns"]
    scale: Scale
    unit: str
    colours: str = "viridis"
    features: tuple[int, int] | None = None
    even: float | None = None
    smooth: bool = True
    percent: bool = False
    covers: tuple[float, float] = (1.0, 1.0)
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """An affinity A[j, i] between channels: j (down) draws from i (across); it replaces the picture."""

    values: Float[np.ndarray, "channels channels"]
    scale: Scale
    unit: str = "weight"
    colours: str = "viridis"


@dataclass(frozen=True, eq=False)
class Classes:
    """Class indices at the picture's size, drawn in the classes' colours.

    Attributes:
        labels: the indices; pixels whose index is not a class are left bare.
        class_set: the classes.
        outlined: whether lines separate the classes.
        hidden: names of classes that are not drawn; exported numbers include them.
        levels: whether the classes are ordered levels; lines then surround all pixels above the first level.
    """

    labels: UInt8[np.ndarray, "height width"]
    class_set: ClassSet
    outlined: bool = False
    hidden: tuple[str, ...] = ()
    levels: bool = False

    @property
    def visible_classes(self) -> tuple[int, ...]:
        """The indices of the classes that are not hidden."""
        return tuple(index for index, name in enumerate(self.class_set.names) if name not in self.hidden)

    @property
    def visible_labels(self) -> UInt8[np.ndarray, "height width"]:
        """The labels, with hidden classes set to void."""
        return np.where(np.isin(self.labels, self.visible_classes), self.labels, np.uint8(self.class_set.void))

    @property
    def regions(self) -> UInt8[np.ndarray, "height width"]:
        """The regions between which lines are drawn: visible classes, or for levels 0 up to the first level, else 1."""
        labels = self.visible_labels
        return np.where(labels == self.class_set.void, 0, labels).clip(0, 1) if self.levels else labels


@dataclass(frozen=True, eq=False)
class Points:
    """Sampled positions of sparse attention.

    Attributes:
        at: positions (y, x), in pixels of the picture.
        weights: weight of each sample.
        undisplaced: where the samples would lie without their learned displacements; none where that is not known.
        scale: the values at the ends of the colour bar.
        unit: the unit of the weights, in words.
        colours: name of a colour map in COLOUR_MAPS.
        percent: whether pictures show the weights in percent.
        even: the even share, 1 / samples, marked on the colour bar; None if the weights do not sum to 1.
    """

    at: Float[np.ndarray, "points 2"]
    weights: Float[np.ndarray, " points"]
    undisplaced: Float[np.ndarray, "undisplaced 2"]
    scale: Scale
    unit: str = "weight"
    colours: str = "viridis"
    percent: bool = False
    even: float | None = None


@dataclass(frozen=True, eq=False)
class Bars:
    """One value per channel, drawn from the smallest to the largest; `middle` is marked."""

    values: Float[np.ndarray, " channels"]
    unit: str
    middle: float


@dataclass(frozen=True, eq=False)
class Strips:
    """The weights that places give to each strip, as bars side by side; the even share is marked.

    Attributes:
        weights: one row per place; each row sums to 1.
        names: name of each place.
        colours: colour of each place, such as "#D55E00".
        unit: the unit of the weights, in words.
    """

    weights: Float[np.ndarray, "places strips"]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    unit: str = "weight"


@dataclass(frozen=True)
class Dot:
    """One method in a chart: its name, its place, and whose figures these are, which is its group."""

    name: str
    x: float
    y: float
    group: str


@dataclass(frozen=True, eq=False)
class Scatter:
    """Named dots in groups, each group in a colour of its own; it replaces the picture.

    Attributes:
        dots: the dots.
        across: what x is, with its unit.
        up: what y is, with its unit.
        colours: the colour of each group, in the order of the legend.
    """

    dots: tuple[Dot, ...]
    across: str
    up: str
    colours: Mapping[str, str]

    @property
    def values(self) -> Float[np.ndarray, "dots 2"]:
        """Both coordinates of each dot."""
        return np.array([(dot.x, dot.y) for dot in self.dots], np.float64).reshape(-1, 2)


Content = Heat | Matrix | Classes | Points | Bars | Strips | Scatter
Scaled = Heat | Matrix | Points


def values_of(content: Scaled) -> np.ndarray:
    """The values that the colours show."""
    return content.weights if isinstance(content, Points) else content.values


def in_percent(content: Scaled) -> bool:
    """Whether pictures show its values in percent."""
    return not isinstance(content, Matrix) and content.percent


def same_quantity(one: Content | None, other: Heat | Points) -> TypeGuard[Heat | Points]:
    """Whether the values of both can share a scale."""
    return isinstance(one, type(other)) and one.unit == other.unit
