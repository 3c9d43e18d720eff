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

AGREED = np.array((20, 24, 40))  # dark; what disagrees is bright, from blue to yellow
DIFFERENT_LEAST, DIFFERENT_MOST = np.array((86, 180, 233)), np.array((255, 214, 64))
Measure = Literal["Different answers", "Share against the majority"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
ANSWERS = MEASURES[0]


def disagreement_panel(label_maps: Sequence[UInt8[np.ndarray, "height width"]], measure: Measure) -> Panel:
    """Where label maps disagree, in levels; pixels that are void in one of them are void."""
    result, count = disagreement(label_maps), len(label_maps)
    if measure == ANSWERS:
        levels = result.distinct - np.uint8(1)
        names = ("all agree", *(f"{number} answers" for number in range(2, count + 1)))
        note = f"how many different classes {count} answers hold, outlined"
    else:
        levels = count - np.round(result.agreement * count).astype(np.uint8)
        names = (
            "all agree",
            *(f"{number} of {count} differ ({percent_text(number / count)})" for number in range(1, count)),
        )
        note = f"how many of {count} answers differ from the most frequent class, outlined"
    levels[np.any([one == VOID for one in label_maps], 0)] = VOID
    steps = np.linspace(1, 0, count - 1)[::-1, None]  # a single level has the last colour
    palette = np.vstack((AGREED, (1 - steps) * DIFFERENT_LEAST + steps * DIFFERENT_MOST)).astype(np.uint8)
    return Panel("Disagreement", LabelMap(levels, names, palette, levels=True), "labels", note=note)
