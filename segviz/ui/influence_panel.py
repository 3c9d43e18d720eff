"""The panels of an influence: where the answer at a pinned point comes from."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from segviz.attention.rank_correlation import correlations_in_words
from segviz.prediction.influence import UNIT, Influence, correlate_influence
from segviz.prediction.prediction import Prediction
from segviz.viewer.panel import Panel, Pin, ScalarMap

_maps: WeakKeyDictionary[Influence, ScalarMap] = WeakKeyDictionary()  # one map each, so that it is packed once


def influence_panel(
    influence: Influence, prediction: Prediction, pins: Sequence[Pin], index: int, title: str = "Influence"
) -> Panel:
    """A panel fixed to a pin: how strongly each place moves the answer there, through the block's context.

    Args:
        influence: the influence on the answer at the pin.
        prediction: the same model's prediction of the same picture.
        pins: the pins.
        index: the index of the influence's pin.
        title: what stands before "on point N".
    """
    if influence not in _maps:
        _maps[influence] = ScalarMap(influence.values, UNIT, signed=False)
    answer = prediction.classes[influence.class_index]
    ranks = correlations_in_words(correlate_influence(influence, prediction))
    note = f"on the answer “{answer}”{f'; {ranks}' if ranks else ''}"
    heading = f"{title} on point {pins[index].number}"
    return Panel(heading, _maps[influence], "values", pin=index, note=note, model=influence.model)


def influence_place_holder() -> Panel:
    """What stands in the first row, where panels follow the pointer, while no point is pinned."""
    return Panel("Influence", None, "plain", note="of each place on the answer at a point: pin one")
