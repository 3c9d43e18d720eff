"""A panel of where label maps disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from segviz.data.classes import VOID
from segviz.figures.overlay import disagreement
from segviz.text import percent_text
from segviz.viewer.panel import LabelMap, Panel

AGREED = (20, 24, 40)  # dark; what disagrees is bright, from blue over yellow to red
FEWEST_COLOUR, MIDDLE_COLOUR, MOST_COLOUR = (86, 180, 233), (255, 214, 64), (255, 110, 60)
MIDDLE_DISTINCT, MOST_DISTINCT = 4, 12  # different classes in one pixel; more are rare, and have the last colour
Measure = Literal["Different classes", "Share against the majority"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
DIFFERENT_CLASSES = MEASURES[0]


def disagreement_panel(
    label_maps: Sequence[UInt8[np.ndarray, "height width"]], measure: Measure, whose: str = ""
) -> Panel:
    """Where label maps disagree, in levels; pixels that are void in one of them are void.

    A number of classes, and a share, has the same colour whichever maps are compared.

    Args:
        label_maps: the maps.
        measure: what a level counts.
        whose: who gives the classes, such as "2 models and the truth"; by default so many maps.
    """
    result, count = disagreement(label_maps), len(label_maps)
    whose = whose or f"{count} maps"
    if measure == DIFFERENT_CLASSES:
        levels = result.distinct - np.uint8(1)
        names = ("all agree", *(f"{number} different classes" for number in range(2, count + 1)))
        places = [number_place(number) for number in range(2, count + 1)]
        note = f"where the {whose} give different classes, outlined"
    else:
        levels = count - np.round(result.agreement * count).astype(np.uint8)
        names = (
            "all agree",
            *(f"{number} of {count} differ ({percent_text(number / count)})" for number in range(1, count)),
        )
        places = [number / count for number in range(1, count)]
        note = f"how many of the {whose} differ from the most frequent class, outlined"
    levels[np.any([one == VOID for one in label_maps], 0)] = VOID
    bright = [
        np.interp(places, (0, 0.5, 1), channel)
        for channel in zip(FEWEST_COLOUR, MIDDLE_COLOUR, MOST_COLOUR, strict=True)
    ]
    palette = np.vstack((AGREED, np.stack(bright, 1))).astype(np.uint8)
    return Panel("Disagreement", LabelMap(levels, names, palette, levels=True), "labels", note=note)


def number_place(number: int) -> float:
    """Where a number of different classes lies between FEWEST_COLOUR, for 2, and MOST_COLOUR; in [0, 1]."""
    return float(np.interp(number, (2, MIDDLE_DISTINCT, MOST_DISTINCT), (0, 0.5, 1)))
