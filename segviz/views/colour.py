"""From values to colours: the colour tables, and scales that do not lie.

A scale is chosen once and shown beside the picture. Attention starts at 0, so that a flat map looks flat; the
common min-max stretch would turn its rounding errors into peaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import matplotlib
import numpy as np
from jaxtyping import Float, Float32, UInt8

# Name here -> matplotlib's. "signed" is for values on both sides of 0.
COLOUR_MAPS: Mapping[str, str] = MappingProxyType(
    {"viridis": "viridis", "cividis": "cividis", "magma": "magma", "gray": "gray", "signed": "RdBu_r"}
)
STEPS = 256
LOG_DECADES = 3  # a logarithmic scale reaches down to a thousandth of its top
BULK = (1, 99)  # the percentiles that a percentile scale spans
FLAT = 1e-6  # a spread below this share of the values' size is rounding, not structure
NOT_A_NUMBER = (255, 0, 255)  # in none of the tables

Values = Float[np.ndarray, "height width"]
Kind = Literal["linear", "log", "percentile"]


@cache
def colour_table(name: str) -> UInt8[np.ndarray, "steps 3"]:
    """The RGB colours of a colour map, from low to high.

    Raises:
        ValueError: there is no such colour map.
    """
    if name not in COLOUR_MAPS:
        raise ValueError(f"colour map '{name}' is unknown; use {', '.join(COLOUR_MAPS)}")
    colours = matplotlib.colormaps[COLOUR_MAPS[name]](np.arange(STEPS) / (STEPS - 1))
    table: np.ndarray = np.round(colours[:, :3] * 255).astype(np.uint8)
    table.flags.writeable = False
    return table


@dataclass(frozen=True)
class Scale:
    """Which values the ends of a colour bar stand for; `low == high` where there is nothing to tell apart.

    A percentile scale is linear between its ends, which are the 1st and the 99th percentile of the values.
    """

    low: float
    high: float
    kind: Kind = "linear"

    def share(self, values: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """Where values lie between the ends, in [0, 1]; 0 everywhere on a flat scale, NaN stays NaN."""
        if self.high <= self.low:
            return np.where(np.isnan(values), np.nan, 0).astype(np.float32)
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                places = 1 + np.log10(np.asarray(values, np.float64) / self.high) / np.log10(self.high / self.low)
        else:
            places = (np.asarray(values, np.float64) - self.low) / (self.high - self.low)
        clipped: np.ndarray = np.clip(places, 0, 1).astype(np.float32)
        return clipped


def attention_scale(*maps: Float[np.ndarray, "*_shape"], kind: Literal["linear", "log"] = "linear") -> Scale:
    """One scale for all given maps of weights, from 0 to their largest; a log scale spans three decades below it."""
    high = largest(*maps)
    if kind == "log":
        return Scale(high / 10**LOG_DECADES, high, "log")
    return Scale(0.0, high)


def weight_scale(*maps: Float[np.ndarray, "*_shape"], kind: Kind = "linear") -> Scale:
    """The scale of a page's setting for maps of weights: linear from 0, log, or the bulk between two percentiles.

    Maps with negative values, as PSA's without a softmax, get the same length on both sides of 0, never a logarithm.
    Where the bulk is one value, as in a map that is nearly all zeros, percentiles tell nothing: it is linear then.
    """
    finite = [one[np.isfinite(one)].ravel() for one in maps]
    values = np.concatenate(finite) if finite else np.zeros(0)
    signed = bool((values < 0).any())
    if kind != "percentile" or not values.size:
        return signed_scale(values) if signed else attention_scale(values, kind="log" if kind == "log" else "linear")
    low, high = (float(end) for end in np.percentile(values, BULK))
    if signed:
        high = max(-low, high)
        low = -high
    return Scale(low, high, "percentile") if low < high else weight_scale(values)


def span_scale(*maps: Float[np.ndarray, "*_shape"]) -> Scale:
    """From the smallest to the largest value (FLANet Fig. 6), flat where they differ by no more than rounding."""
    finite = [one[np.isfinite(one)] for one in maps]
    low = min((float(one.min()) for one in finite if one.size), default=0.0)
    high = max((float(one.max()) for one in finite if one.size), default=0.0)
    if high - low <= FLAT * max(abs(low), abs(high)):
        return Scale(low, low)
    return Scale(low, high)


def signed_scale(*maps: Float[np.ndarray, "*_shape"]) -> Scale:
    """The same length on both sides of 0."""
    high = largest(*(np.abs(one) for one in maps))
    return Scale(-high, high)


def largest(*maps: Float[np.ndarray, "*_shape"]) -> float:
    """The largest finite value, at least 0."""
    return max((float(one[np.isfinite(one)].max(initial=0.0)) for one in maps), default=0.0)


def percentiles(values: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """The share of values that lie below each value, in [0, 1); equal values share a place, so a flat map is 0."""
    ordered = np.sort(values, axis=None)
    return (np.searchsorted(ordered, values) / max(values.size, 1)).astype(np.float32)


def coloured(values: Values, scale: Scale, name: str = "viridis") -> UInt8[np.ndarray, "height width 3"]:
    """The map as RGB; values that are not numbers stand out in magenta."""
    share = scale.share(values)
    missing = np.isnan(share)
    picture = colour_table(name)[np.round(np.where(missing, 0, share) * (STEPS - 1)).astype(np.int64)]
    picture[missing] = NOT_A_NUMBER
    return picture
