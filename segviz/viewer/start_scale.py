"""The scale that each map begins with, where the reader has not chosen one: by its numbers at the first point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from segviz.attention.maps import NetworkMap, SampledAttention, SpatialMap, StripAttention
from segviz.attention.network_look import key_cells, look_at_network, network_weights, sampled_weights
from segviz.scales import BULK, LOG_DECADES, PEAKED, ScaleKind
from segviz.viewer.display import Display
from segviz.viewer.panel import Panel, Pin, ScalarMap


def start_scale(values: Float[np.ndarray, "*shape"], even: float) -> ScaleKind:
    """The kind of scale on which a map's numbers can be seen, and on which a bright cell has much of the weight.

    Linear, unless the largest value exceeds `PEAKED` times the even share. Then log: a map nearly one-hot looks so,
    where percentiles would paint places of no weight as bright as its one cell. With values below 0, as `signed_start`.

    Args:
        values: the map; NaN is left out.
        even: the even share, or the mean.
    """
    finite = values[np.isfinite(values)]
    if not float(finite.max(initial=0.0)) > PEAKED * even:
        return "linear"
    return "log" if finite.min() >= 0 else signed_start(finite)


def signed_start(values: Float[np.ndarray, "*shape"]) -> ScaleKind:
    """The scale of values of both signs: percentile, but linear where a few values are nearly all that there is.

    Args:
        values: the map; NaN is left out.
    """
    sizes = np.abs(values[np.isfinite(values)])
    shown = np.count_nonzero(sizes > sizes.max(initial=0.0) / 10**LOG_DECADES)
    return "percentile" if shown > sizes.size * (100 - BULK[1]) / 100 else "linear"


def panel_start(panel: Panel, place: tuple[int, int], size: tuple[int, int], display: Display) -> ScaleKind:
    """The scale that a panel begins with.

    Args:
        panel: the panel.
        place: the pixel (y, x) that it shows first; outside the panel's crop, the crop's middle counts.
        size: the picture's (height, width).
        display: whose direction applies to the look "either".
    """
    if panel.region is not None:
        size = panel.region.size
        place = panel.region.inside(place) if place in panel.region else (size[0] // 2, size[1] // 2)
    if isinstance(panel.map, ScalarMap):
        values = panel.map.values
        return signed_start(values) if panel.map.signed else start_scale(values, float(np.nanmean(values)))
    look = display.direction if panel.look == "either" else panel.look
    if isinstance(panel.map, NetworkMap) and look == "points":
        return points_start(sampled_weights(panel.map, place, size, panel.head, panel.query)[1].numpy())
    if isinstance(panel.map, NetworkMap):
        weights = network_weights(panel.map, look_at_network(look), place, size, panel.head, panel.query)
        return start_scale(weights.numpy(), 1 / key_cells(panel.map))
    return map_start(panel.map, look, place, size) if isinstance(panel.map, SpatialMap) else "linear"


def map_start(one: SpatialMap, look: str, place: tuple[int, int], size: tuple[int, int]) -> ScaleKind:
    """The scale that a map over places begins with."""
    if one.unit != "weight":
        return "linear"
    row, column = one.cell(*place, *size)
    if look == "points" and isinstance(one, SampledAttention):
        return points_start(one.samples(row, column)[1].numpy())
    if look == "strip" and isinstance(one, StripAttention):
        values = one.strip_map(column if one.axis == "vertical" else row).numpy()
        return start_scale(values, 1 / len(one.keys))
    values = (one.attended_by if look == "attended_by" else one.attends_to)(row, column).numpy()
    return start_scale(values, 1 / values.size)


def points_start(weights: Float[np.ndarray, " points"]) -> ScaleKind:
    """The scale that samples begin with; of a few dots, no percentiles are cut off."""
    return "log" if weights.max() > PEAKED / weights.size else "linear"


def set_starts(
    panels: Sequence[Panel], place: tuple[int, int], pins: Sequence[Pin], size: tuple[int, int], display: Display
) -> list[Panel]:
    """The panels with the scales that they begin with; a pin's panel begins as the one that shows the same map does.

    Args:
        panels: the panels.
        place: the pixel (y, x) at which panels that follow the pointer begin.
        pins: the pinned points, which fixed panels show.
        size: the picture's (height, width).
        display: the viewer's settings.
    """
    started = []
    following: dict[tuple[object, ...], ScaleKind] = {}
    for panel in panels:
        own = pins[panel.pin] if panel.pin is not None and panel.pin < len(pins) else None
        at = panel.at or (place if own is None else (own.y, own.x))
        shown = (id(panel.map), panel.look, panel.head, panel.query)
        start = following.get(shown) if own is not None else None
        start = start or panel_start(panel, at, size, display)
        if own is None:
            following.setdefault(shown, start)
        started.append(replace(panel, start=start))
    return started
