"""The panels that show a prediction; one case for each kind of map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from segviz.attention.maps import (
    AttentionMap,
    BasesAttention,
    ChannelMap,
    CrissCrossAttention,
    FeatureSimilarity,
    OffsetMaskAttention,
    SampledAttention,
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
    return labels_panel(prediction.labels, prediction.class_set, title, note, prediction.model)


def labels_panel(
    labels: UInt8[np.ndarray, "height width"], classes: ClassSet, title: str, note: str = "", model: str = ""
) -> Panel:
    """Any label map over the picture; `model` is the one that predicted it, if any."""
    return Panel(title, LabelMap(labels, classes.names, classes.colours), "labels", note=note, model=model)


def feature_panels(prediction: Prediction, name: str = "") -> tuple[Panel, ...]:
    """Channel means of the block's output and of its context (FLANet Fig. 6); without a block, of the features."""
    features, model = prediction.attended, prediction.model
    if not prediction.maps:
        return (Panel("Features", features, "output", note="mean over channels; there is no block", model=model),)
    prefix = f"{name}: " if name else ""
    note = "mean over channels of the block's output"
    return (
        Panel(f"{prefix}attended features", features, "output", note=note, model=model),
        Panel(f"{prefix}context", features, "context", note="the same before gamma and residual", model=model),
    )


def panels_of_maps(prediction: Prediction) -> list[Panel]:
    """The panels of all of a prediction's maps, following the pointer."""
    return [panel for attention in prediction.maps.values() for panel in panels_of_map(attention, prediction.model)]


def panels_of_map(attention: AttentionMap, model: str = "") -> tuple[Panel, ...]:
    """The panels of one map, following the pointer; none for maps over channels.

    Args:
        attention: the map.
        model: the name of the model that made it.
    """
    if isinstance(attention, ChannelMap):
        return ()
    match attention:
        case OffsetMaskAttention(direction="collect"):
            note = "what the point gathers, and from where" + reach_note(attention)
            panels = [Panel("Collect", attention, "attends_to", note=note)]
        case OffsetMaskAttention():
            note = "how much each place receives from the point" + reach_note(attention)
            panels = [Panel("Distribute", attention, "attended_by", note=note)]
        case SampledAttention():
            note = "the K points read, sized by weight; the faint window undisplaced"
            who = "how much every place draws from the point"
            panels = [
                Panel("Samples", attention, "points", note=note),
                Panel("Who samples it", attention, "attended_by", note=who),
            ]
        case StripAttention():
            panels = [
                Panel("Column map", attention, "strip", note="how much every place reads the pointed strip"),
                Panel("Attends to", attention, "attends_to", note="the point's weights, spread over each strip"),
            ]
        case CrissCrossAttention():
            note = f"{len(attention.queries)} passes, one after the other; the residuals left out"
            last = attention.last_pass
            who = "who reads the point, through all passes"
            panels = [
                Panel("Attends to (last pass)", last, "attends_to", note="the cross that the last pass reads"),
                Panel("Attends to (all passes)", attention, "attends_to", note=note),
                Panel("Attended by (all passes)", attention, "attended_by", note=who),
            ]
        case BasesAttention():
            bases = attention.responsibilities.shape[1]
            note = f"through {bases} bases; attended by is the same"
            panels = [Panel("Attends to (bases)", attention, "attends_to", note=note)]
        case FeatureSimilarity():
            note = "cosine of each place's feature with the point's"
            panels = [Panel("Similarity", attention, "attends_to", note=note)]
        case _:  # true of any kind over places
            note, who = "what the point draws from each place", "how much each place draws from the point"
            panels = [
                Panel(f"Attends to ({attention.name})", attention, "attends_to", note=note),
                Panel(f"Attended by ({attention.name})", attention, "attended_by", note=who),
            ]
    return tuple(replace(panel, model=model) for panel in panels)


def reach_note(masks: OffsetMaskAttention) -> str:
    """A warning where the grid is larger than the mask: what is 0 there was never learned."""
    return "; 0 % far off is beyond the mask's reach, not learned" if bool(masks.masks.isinf().any()) else ""


def pin_panels(panels: Sequence[Panel], pins: Sequence[Pin]) -> list[Panel]:
    """The same panels once more for each pin, fixed to it."""
    return [fix_to_pin(panel, number) for number in range(len(pins)) for panel in panels]


def fix_to_pin(panel: Panel, number: int) -> Panel:
    """A panel that shows the pin of this number instead of following the pointer."""
    return Panel(f"{panel.title} of point {number + 1}", panel.map, panel.look, pin=number, model=panel.model)


def pin_rows(
    prediction: Prediction, panels: Sequence[Panel], pins: Sequence[Pin], more: Mapping[int, Panel] | None = None
) -> list[Panel]:
    """A row for each pin: where it is and what is there, then the panels fixed to it, and its panel of `more`."""
    rows = []
    for number, pin in enumerate(pins):
        name = prediction.classes[prediction.labels[pin.y, pin.x]]
        note = f"{name}, confidence {prediction.confidence[pin.y, pin.x]:.0%}"
        rows.append(Panel(f"Point {number + 1}", None, "plain", pin=number, note=note))
        rows += [fix_to_pin(panel, number) for panel in panels]
        if more is not None:  # a panel that could not be computed leaves its room
            rows.append(more.get(number) or Panel(f"Influence on point {number + 1}", None, "plain", pin=number))
    return rows


def confidence_panel(prediction: Prediction, title: str) -> Panel:
    """How sure the model is of what it predicts: the softmax of the winning class."""
    shares = ShareMap(prediction.confidence)
    return Panel(title, shares, "shares", note="softmax of the predicted class, from 0 to 1", model=prediction.model)


def select_same_classes(panels: Mapping[str, Panel]) -> dict[str, LabelMap]:
    """The label maps that have the classes of the first one: only these can disagree."""
    maps = {name: one.map for name, one in panels.items() if isinstance(one.map, LabelMap)}
    classes = next((one.classes for one in maps.values()), ())
    return {name: one for name, one in maps.items() if one.classes == classes}


def disagreement_panel(label_maps: Sequence[UInt8[np.ndarray, "height width"]], measure: Measure) -> Panel:
    """Where label maps disagree, in levels; pixels that are void in one of them are void."""
    result, count = disagreement(label_maps), len(label_maps)
    if measure == ANSWERS:
        levels = result.distinct - np.uint8(1)
        names = ("all agree", *(f"{number} answers" for number in range(2, count + 1)))
        note = f"how many different classes {count} answers hold, outlined"
    else:
        levels = count - np.round(result.agreement * count).astype(np.uint8)
        names = ("all agree", *(f"{number} of {count} differ ({number / count:.0%})" for number in range(1, count)))
        note = f"how many of {count} answers differ from the most frequent class, outlined"
    levels[np.any([one == VOID for one in label_maps], 0)] = VOID
    steps = np.linspace(1, 0, count - 1)[::-1, None]  # a single level has the last colour
    palette = np.vstack((AGREED, (1 - steps) * DIFFERENT_LEAST + steps * DIFFERENT_MOST)).astype(np.uint8)
    return Panel("Disagreement", LabelMap(levels, names, palette, levels=True), "labels", note=note)
