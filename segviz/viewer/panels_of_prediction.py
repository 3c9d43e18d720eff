"""Which panels a prediction can fill: one case for each kind of map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, assert_never, get_args

import numpy as np
from jaxtyping import UInt8

from segviz.attention.maps import (
    AttentionMap,
    BasesAttention,
    CrissCrossAttention,
    DotProductAttention,
    OffsetMaskAttention,
    SampledAttention,
    SpatialMap,
    StripAttention,
)
from segviz.data.classes import VOID, ClassSet
from segviz.figures.overlay import disagreement
from segviz.prediction.prediction import Prediction
from segviz.viewer.panel import LabelMap, Panel, Pin, ShareMap

AGREED = np.array((20, 24, 40))  # dark; what disagrees is bright, from blue to yellow
DIFFERENT_LEAST, DIFFERENT_MOST = np.array((86, 180, 233)), np.array((255, 214, 64))
Measure = Literal["Different answers", "Share against the majority"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
ANSWERS = MEASURES[0]


def prediction_panel(prediction: Prediction, title: str = "Prediction", note: str = "") -> Panel:
    """The predicted classes over the picture."""
    return labels_panel(prediction.labels, prediction.class_set, title, note)


def labels_panel(labels: UInt8[np.ndarray, "height width"], classes: ClassSet, title: str, note: str = "") -> Panel:
    """Any label map over the picture."""
    return Panel(title, LabelMap(labels, classes.names, classes.colours), "labels", note=note)


def attended_panels(prediction: Prediction, name: str = "") -> tuple[Panel, ...]:
    """Channel means of the block's output and of its context (FLANet Fig. 6); of the features without a block."""
    if not prediction.maps:
        return (Panel("Features", prediction.attended, "output", note="mean over channels; there is no block"),)
    prefix = f"{name}: " if name else ""
    return (
        Panel(
            f"{prefix}attended features",
            prediction.attended,
            "output",
            note="mean over channels of the block's output",
        ),
        Panel(f"{prefix}context", prediction.attended, "context", note="the same before gamma and residual"),
    )


def map_panels(attention: AttentionMap) -> tuple[Panel, ...]:
    """The panels of one map, following the pointer; none for maps over channels."""
    if not isinstance(attention, SpatialMap):
        return ()
    match attention:
        case OffsetMaskAttention(direction="collect"):
            note = "what the point gathers, and from where"
            return (Panel("Collect", attention, "attends_to", note=note + beyond_reach(attention)),)
        case OffsetMaskAttention():
            note = "how much each place receives from the point"
            return (Panel("Distribute", attention, "attended_by", note=note + beyond_reach(attention)),)
        case SampledAttention():
            return (
                Panel(
                    "Samples",
                    attention,
                    "points",
                    note="the K points read, sized by weight; the faint window undisplaced",
                ),
                Panel("Who samples it", attention, "attended_by", note="how much every place draws from the point"),
            )
        case StripAttention():
            return (
                Panel("Column map", attention, "strip", note="how much every place reads the pointed strip"),
                Panel("Attends to", attention, "attends_to", note="the point's weights, spread over each strip"),
            )
        case CrissCrossAttention():
            note = f"{len(attention.queries)} passes, one after the other; the residuals left out"
            last = attention.last_pass
            return (
                Panel("Attends to (last pass)", last, "attends_to", note="the cross that the last pass reads"),
                Panel("Attends to (all passes)", attention, "attends_to", note=note),
                Panel(
                    "Attended by (all passes)", attention, "attended_by", note="who reads the point, through all passes"
                ),
            )
        case DotProductAttention():
            return (
                Panel(
                    f"Attends to ({attention.name})",
                    attention,
                    "attends_to",
                    note="what the point draws from each place",
                ),
                Panel(
                    f"Attended by ({attention.name})",
                    attention,
                    "attended_by",
                    note="how much each place draws from the point",
                ),
            )
        case BasesAttention():
            bases = attention.responsibilities.shape[1]
            return (
                Panel(
                    "Attends to (bases)",
                    attention,
                    "attends_to",
                    note=f"through {bases} bases; attended by is the same",
                ),
            )
        case _:
            assert_never(attention)


def beyond_reach(masks: OffsetMaskAttention) -> str:
    """A warning where the grid is larger than the mask: what is 0 there was never learned."""
    return "; 0 % far off is beyond the mask's reach, not learned" if bool(masks.masks.isinf().any()) else ""


def pinned_panels(panels: Sequence[Panel], pins: Sequence[Pin]) -> list[Panel]:
    """The same panels once more for each pin, fixed to it."""
    return [fixed(panel, number) for number in range(len(pins)) for panel in panels]


def fixed(panel: Panel, number: int) -> Panel:
    """A panel that no longer follows the pointer but shows the pin of this number."""
    return Panel(f"{panel.title} of point {number + 1}", panel.map, panel.look, pin=number)


def pinned_rows(prediction: Prediction, panels: Sequence[Panel], pins: Sequence[Pin]) -> list[Panel]:
    """For each pin a row: where it is and what is there, then the panels fixed to it."""
    rows = []
    for number, pin in enumerate(pins):
        name = prediction.classes[prediction.labels[pin.y, pin.x]]
        note = f"{name}, confidence {prediction.confidence[pin.y, pin.x]:.0%}"
        rows.append(Panel(f"Point {number + 1}", None, "plain", pin=number, note=note))
        rows += [fixed(panel, number) for panel in panels]
    return rows


def confidence_panel(prediction: Prediction, title: str) -> Panel:
    """How sure the model is of what it predicts: the softmax of the winning class."""
    return Panel(title, ShareMap(prediction.confidence), "shares", note="softmax of the predicted class, from 0 to 1")


def of_same_classes(panels: Mapping[str, Panel]) -> dict[str, LabelMap]:
    """The label maps that tell the same classes apart as the first one does: only these can disagree."""
    maps = {name: one.map for name, one in panels.items() if isinstance(one.map, LabelMap)}
    classes = next((one.classes for one in maps.values()), ())
    return {name: one for name, one in maps.items() if one.classes == classes}


def disagreement_panel(label_maps: Sequence[UInt8[np.ndarray, "height width"]], measure: Measure) -> Panel:
    """Where label maps disagree, in levels; pixels that are void in one of them have none."""
    found, count = disagreement(label_maps), len(label_maps)
    if measure == ANSWERS:
        levels = found.distinct - np.uint8(1)
        names = ("all agree", *(f"{number} answers" for number in range(2, count + 1)))
        note = f"how many different classes {count} answers hold, outlined"
    else:
        levels = count - np.round(found.agreement * count).astype(np.uint8)
        names = ("all agree", *(f"{number} of {count} differ ({number / count:.0%})" for number in range(1, count)))
        note = f"how many of {count} answers differ from the most frequent class, outlined"
    levels[np.any([one == VOID for one in label_maps], 0)] = VOID
    steps = np.linspace(1, 0, count - 1)[::-1, None]  # a single level has the last colour
    palette = np.vstack((AGREED, (1 - steps) * DIFFERENT_LEAST + steps * DIFFERENT_MOST)).astype(np.uint8)
    return Panel("Disagreement", LabelMap(levels, names, palette, levels=True), "labels", note=note)
