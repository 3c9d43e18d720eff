"""The panels of an influence: where the answer at a pinned point comes from."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from segviz.attention.rank_correlation import correlate_with_map, correlations_in_words
from segviz.prediction.influence import UNIT, Influence
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
    ranks = correlations_in_words(influence_ranks(influence, prediction))
    note = f"on the answer “{answer}”{f'; {ranks}' if ranks else ''}"
    heading = f"{title} on point {pins[index].number}"
    return Panel(heading, _maps[influence], "values", pin=index, note=note, model=influence.model)


def influence_ranks(influence: Influence, prediction: Prediction) -> dict[str, float]:
    """The rank correlation of an influence with each map's weights, by the map's name; NaN where one is constant."""
    size = (prediction.labels.shape[0], prediction.labels.shape[1])
    return {
        one.name: correlate_with_map(influence.values, one, *one.cell(*influence.pixel, *size))
        for one in prediction.spatial_maps
    }


def influence_place_holder() -> Panel:
    """What stands in the first row, where panels follow the pointer: an influence needs a pinned point."""
    return Panel("Influence", None, "plain", note="of each place on the answer at a point you pin, in its row below")
