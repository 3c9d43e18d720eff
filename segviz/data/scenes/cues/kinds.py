"""The kinds of cue: how many cues there are, and where marks go so that each thing means one of them.

A kind places marks and says which cue each thing means; `draw.py` paints them. A thing looks the same whatever its
class is, and every cue is more cells away than the two convolutions reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from segviz.data.scenes.cues.scene import CUE_GRID, MARK_REACH, SHAPES, CueShape

APART = 6  # cells between centres, down or along: a thing's cells see 3 away from its centre, a cue's edge is 5 away
THINGS = 4
TRIES = 20  # random places for each mark
NEARER = 1.5  # the other cue is at least this many times as far away

Placed = tuple[list[CueShape], list[CueShape]]  # things and cues; thing t means cue t modulo the number of cues


@dataclass(frozen=True)
class CueKind:
    """One kind of cue.

    Attributes:
        key: its name in files and addresses.
        title: its heading.
        rule: which cue tells a thing's class, a clause.
        cues: the number of cues.
        place: puts marks on the grid; None where the random draw had no room left.
    """

    key: str
    title: str
    rule: str
    cues: int
    place: Callable[[np.random.Generator], Placed | None]


def place_anywhere(random: np.random.Generator) -> Placed | None:
    """One cue, anywhere."""
    cues = spread(random, [], 1)
    return join(cues, spread(random, cues, THINGS))


def place_in_rows(random: np.random.Generator) -> Placed | None:
    """Two cues whose rows are apart; every thing is in the row of its cue."""
    return place_in_lines(random, 0)


def place_in_columns(random: np.random.Generator) -> Placed | None:
    """Two cues whose columns are apart; every thing is in the column of its cue."""
    return place_in_lines(random, 1)


def place_in_lines(random: np.random.Generator, axis: int) -> Placed | None:
    """Two cues on different lines along an axis (0: rows, 1: columns); every thing is on the line of its cue."""
    cues = spread(random, [], 2)
    lines = [(cue.row, cue.column)[axis] for cue in cues]
    if len(cues) < 2 or abs(lines[0] - lines[1]) < APART:
        return None
    marks = list(cues)
    for thing in range(THINGS):
        marks += spread(random, marks, 1, {axis: lines[thing % 2]})
    return join(cues, marks[2:])


def place_by_shape(random: np.random.Generator) -> Placed | None:
    """Two cues of different shapes; every thing has the shape of its cue."""
    shapes = 1 + random.permutation(len(SHAPES) - 1)[:2]
    marks = spread(random, [], 2 + THINGS)
    marks = [CueShape(mark.row, mark.column, int(shapes[number % 2])) for number, mark in enumerate(marks)]
    return join(marks[:2], marks[2:])


def place_by_distance(random: np.random.Generator) -> Placed | None:
    """Two cues; every thing is clearly nearer to its own."""
    cues = spread(random, [], 2)
    if len(cues) < 2:
        return None
    marks = list(cues)
    for thing in range(THINGS):
        own, other = cues[thing % 2], cues[1 - thing % 2]
        marks += spread(random, marks, 1, allowed=partial(is_nearer, own=own, other=other))
    return join(cues, marks[2:])


def is_nearer(mark: CueShape, own: CueShape, other: CueShape) -> bool:
    """Whether a mark is clearly nearer to its own cue than to the other one."""
    return mark.distance_to(other) >= NEARER * mark.distance_to(own)


def spread(
    random: np.random.Generator,
    marks: Sequence[CueShape],
    count: int,
    fixed: Mapping[int, int] = MappingProxyType({}),
    allowed: Callable[[CueShape], bool] = lambda _: True,
) -> list[CueShape]:
    """Up to `count` marks at random, apart from these and from one another; `fixed` holds a row (0) or a column (1)."""
    new: list[CueShape] = []
    tries = random.integers(MARK_REACH, np.array(CUE_GRID) - MARK_REACH, (TRIES * count, 2))
    for axis, line in fixed.items():
        tries[:, axis] = line
    for row, column in tries.tolist():
        mark = CueShape(row, column)
        if allowed(mark) and all(mark.steps_to(other) >= APART for other in (*marks, *new)):
            new.append(mark)
        if len(new) == count:
            break
    return new


def join(cues: list[CueShape], things: list[CueShape]) -> Placed | None:
    """Things and cues; None if some found no room."""
    return (things, cues) if len(things) == THINGS and cues else None


CUE_KINDS: Mapping[str, CueKind] = MappingProxyType(
    {
        kind.key: kind
        for kind in (
            CueKind("anywhere", "One cue, anywhere", "the only cue", 1, place_anywhere),
            CueKind("row", "In the same row", "the cue in its row", 2, place_in_rows),
            CueKind("column", "In the same column", "the cue in its column", 2, place_in_columns),
            CueKind("shape", "Of the same shape", "the cue of its shape", 2, place_by_shape),
            CueKind("nearer", "The nearer of two", "the nearer cue", 2, place_by_distance),
        )
    }
)
