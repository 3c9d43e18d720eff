"""The panels that show labels and maps; one case for each kind of map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from segviz.attention.head_map import HeadChoice
from segviz.attention.maps import (
    AttendedFeatures,
    AttentionMap,
    BasesAttention,
    ChannelMap,
    CrissCrossAttention,
    FeatureSimilarity,
    InterlacedAttention,
    NetworkMap,
    OffsetMaskAttention,
    PooledAttention,
    SampledAttention,
    StripAttention,
)
from segviz.data.classes import ClassSet
from segviz.viewer.network_panels import panels_of_network_map
from segviz.viewer.panel import LabelMap, Panel, Pin


def labels_panel(
    labels: UInt8[np.ndarray, "height width"], classes: ClassSet, title: str, note: str = "", model: str = ""
) -> Panel:
    """Any label map over the picture; `model` is the one that predicted it, if any."""
    return Panel(title, LabelMap(labels, classes.names, classes.colours), "labels", note=note, model=model)


def panels_of_features(
    features: AttendedFeatures, has_block: bool, name: str = "", model: str = ""
) -> tuple[Panel, ...]:
    """Channel means of a block's output and of its context (FLANet Fig. 6); without a block, of the features.

    Args:
        features: the means.
        has_block: whether a block made them.
        name: what stands before the titles.
        model: the name of the model that made them.
    """
    if not has_block:
        return (Panel("Features", features, "output", note="mean over channels; there is no block", model=model),)
    titles = (f"{name}: attended features", f"{name}: context") if name else ("Attended features", "Context")
    note = "mean over channels of the block's output"
    return (
        Panel(titles[0], features, "output", note=note, model=model),
        Panel(titles[1], features, "context", note="the same before gamma and residual", model=model),
    )


def panels_of_map(
    attention: AttentionMap | NetworkMap, model: str = "", head: HeadChoice = "mean"
) -> tuple[Panel, ...]:
    """The panels of one map, following the pointer; none for maps over channels.

    Args:
        attention: the map.
        model: the name of the model that made it.
        head: of a network's map, the head that they show, or the "mean" or "largest" of all.
    """
    if isinstance(attention, ChannelMap):
        return ()
    if isinstance(attention, NetworkMap):
        return panels_of_network_map(attention, model, head)
    match attention:
        case OffsetMaskAttention(direction="collect"):
            note = "what the point gathers, and from where" + reach_note(attention)
            panels = [Panel("Collect", attention, "attends_to", note=note)]
        case OffsetMaskAttention():
            note = "how much each place receives from the point" + reach_note(attention)
            panels = [Panel("Distribute", attention, "attended_by", note=note)]
        case SampledAttention():
            note = f"the {len(attention.window)} points read, sized by weight; faint: where they lie undisplaced"
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
        case CrissCrossAttention() if len(attention.queries) == 1:
            panels = [
                Panel("Attends to", attention, "attends_to", note="the cross that the one pass reads"),
                Panel("Attended by", attention, "attended_by", note="who reads the point"),
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
        case InterlacedAttention():
            note = f"{attention.remark}; the layers between left out"
            who = "who reads the point, through both passes"
            panels = [
                Panel("Attends to (both passes)", attention, "attends_to", note=note),
                Panel("Attended by (both passes)", attention, "attended_by", note=who),
            ]
        case PooledAttention():
            through = f"through {attention.remark}, spread over their cells"
            who = f"who draws from the point, through {attention.remark}"
            panels = [
                Panel(f"Attends to ({attention.name})", attention, "attends_to", note=through),
                Panel(f"Attended by ({attention.name})", attention, "attended_by", note=who),
            ]
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
    limited = bool(masks.masks.isinf().any())
    return "; cells outside the mask's reach get 0\N{NO-BREAK SPACE}%, which is not learned" if limited else ""


def pin_panels(panels: Sequence[Panel], pins: Sequence[Pin]) -> list[Panel]:
    """The same panels once more for each pin, fixed to it."""
    return [one for index in range(len(pins)) for one in fix_panels(panels, pins, index)]


def fix_panels(panels: Sequence[Panel], pins: Sequence[Pin], index: int) -> list[Panel]:
    """The panels once more, fixed to the pin of this index, without those of queries that are the same at each pin."""
    return [fix_to_pin(panel, pins, index) for panel in panels if panel.query is None]


def fix_to_pin(panel: Panel, pins: Sequence[Pin], index: int) -> Panel:
    """A panel that shows the pin of this index instead of following the pointer."""
    title = f"{panel.title} of point {pins[index].number}"
    return Panel(
        title, panel.map, panel.look, pin=index, model=panel.model, head=panel.head, query=panel.query,
        region=panel.region,
    )  # fmt: skip


def select_same_classes(panels: Mapping[str, Panel]) -> dict[str, LabelMap]:
    """The label maps of the classes that most of them have (the first one's, if as many have others).

    Only maps of the same classes can disagree.
    """
    maps = {name: one.map for name, one in panels.items() if isinstance(one.map, LabelMap)}
    shared = Counter(one.classes for one in maps.values()).most_common(1)
    return {name: one for name, one in maps.items() if one.classes == shared[0][0]}
