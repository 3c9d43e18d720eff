"""The ranges in which a map's numbers show something, and why a kind of map may miss one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from segviz.catalogue.map_record import MapNumbers, MeasuredMap
from segviz.text import NONE

Side = Literal["low", "high"]  # on which side of its range a number lies


@dataclass(frozen=True)
class MapRange:
    """The range of one number.

    Attributes:
        field: the field of MapNumbers.
        title: the number's name in tables and on axes.
        meaning: what it is, in a sentence.
        low: the least value, or None.
        high: the greatest value, or None.
        percent: whether it is a share, shown in percent.
    """

    field: str
    title: str
    meaning: str
    low: float | None
    high: float | None
    percent: bool = True

    def of(self, numbers: MapNumbers) -> float | None:
        """The number of this range."""
        value: float | None = getattr(numbers, self.field)
        return value

    def side(self, value: float) -> Side | None:
        """On which side of the range a value lies; None inside."""
        if self.low is not None and value < self.low:
            return "low"
        return "high" if self.high is not None and value > self.high else None

    def format(self, value: float | None) -> str:
        """A value as in sentences."""
        if value is None:
            return NONE
        return f"{100 * value:.0f} %" if self.percent else f"{value:.1f}"

    def words(self) -> str:
        """The range in words."""
        if self.low is not None and self.high is not None:
            return f"{self.format(self.low).removesuffix(' %')} to {self.format(self.high)}"
        return f"at least {self.format(self.low)}" if self.high is None else f"at most {self.format(self.high)}"


MAP_RANGES = (
    MapRange(
        "entropy", "Entropy", "Entropy of a cell's weights, as a share of that of even weights over all that it can "
        "choose between: the cells within reach, SAM's columns, SNL's 81 samples.", 0.35, 0.90,
    ),
    MapRange("at_itself", "At itself", "Weight on the cell and its eight neighbours.", None, 0.25),
    MapRange(
        "own_class", "Own class", "Weight on cells of the cell's class over what even weights put there; the mean of "
        "this ratio over cells.", 2.5, None, percent=False,
    ),
    MapRange(
        "dependence", "Depends", "Total variation distance between the rows of two random cells: 0 if all cells look "
        "at the same places, 100 % if no two share one.", 0.40, 0.95,
    ),
)  # fmt: skip
ENTROPY, AT_ITSELF, OWN_CLASS, DEPENDENCE = MAP_RANGES

BY_POSITION = "PSA predicts its mask from the point's features alone, by relative position, and does not see the rest"
MASKS = {(limits.field, side): BY_POSITION for limits in MAP_RANGES for side in ("low", "high")}
# Why a kind of map misses a range, by the map's name, the number, and the side.
RANGE_REASONS: Mapping[str, Mapping[tuple[str, str], str]] = MappingProxyType({
    "samples": {
        ("at_itself", "high"): "its samples lie around the point: even weights have {even} there",
        ("own_class", "low"): "its samples lie around the point, where even weights put {even_class} on its class",
        ("dependence", "high"): "two far points share no sample: even weights have {even}",
    },
    "strip": {("own_class", "low"): "it weighs whole columns, and a column crosses several classes"},
    "cross": {
        ("at_itself", "high"): "both passes weigh the point's own row and column, which meet at the point",
        ("dependence", "high"): "each point has a row and a column of its own: random weights have {random}",
    },
    "collect": MASKS,
    "distribute": MASKS,
})  # fmt: skip
ANY_REASON: Mapping[tuple[str, str], str] = MappingProxyType({
    ("entropy", "low"): "few cells have nearly all the weight, the first one {largest}; random weights have {random}",
    ("entropy", "high"): "the weights are nearly even; random weights have {random}",
    ("at_itself", "high"): "the point and its neighbours outweigh the rest; random weights have {random}",
    ("own_class", "low"): "the weights follow classes only in part; random weights have {random}",
    ("dependence", "low"): "all points look at nearly the same places; random weights have {random}",
    ("dependence", "high"): "two points seldom share a cell; random weights have {random}",
})  # fmt: skip


def find_misses(map_name: str, one: MeasuredMap) -> Iterator[tuple[MapRange, str]]:
    """The ranges that a map's numbers miss, each with a clause: the number, the range, and the reason."""
    for limits in MAP_RANGES:
        value = limits.of(one.trained)
        side = None if value is None else limits.side(value)
        if side is not None:
            reason = explain(map_name, limits, side, one)
            yield limits, f"{limits.title.lower()} {limits.format(value)} ({limits.words()} wanted): {reason}"


def explain(map_name: str, limits: MapRange, side: Side, one: MeasuredMap) -> str:
    """Why a number misses its range, by the kind of map or in general."""
    key = limits.field, side
    text = RANGE_REASONS.get(map_name, {}).get(key) or ANY_REASON[key]
    return text.format(
        even=limits.format(limits.of(one.even)),
        random=limits.format(limits.of(one.random)),
        even_class=format_share(one.trained.own_class_even),
        largest=format_share(one.trained.largest),
    )


def format_share(share: float | None) -> str:
    """A share in percent, or a dash."""
    return NONE if share is None else f"{100 * share:.0f} %"
