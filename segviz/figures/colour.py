"""From values to colours: the colour tables, and the scales of colour bars.

Every picture shows its scale. Scales of weights start at 0, so a flat map looks flat; the common min-max stretch would
turn its rounding errors into peaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import matplotlib
import numpy as np
from jaxtyping import Float, Float32, UInt8

from segviz.scales import BULK, LOG_DECADES, ScaleKind, is_flat

# Our name -> matplotlib's name. "signed" is for values on both sides of 0.
COLOUR_MAPS: Mapping[str, str] = MappingProxyType(
    {"viridis": "viridis", "cividis": "cividis", "magma": "magma", "gray": "gray", "signed": "RdBu_r"}
)
COLOUR_STEPS = 256
NOT_A_NUMBER = (255, 0, 255)  # magenta, which no colour map contains


@cache
def colour_table(name: str) -> UInt8[np.ndarray, "steps 3"]:
    """The RGB colours of a colour map, from low to high.

    Raises:
        ValueError: the name is not in COLOUR_MAPS.
    """
    if name not in COLOUR_MAPS:
        raise ValueError(f"colour map '{name}' is unknown; use {', '.join(COLOUR_MAPS)}")
    colours = matplotlib.colormaps[COLOUR_MAPS[name]](np.arange(COLOUR_STEPS) / (COLOUR_STEPS - 1))
    table: np.ndarray = np.round(colours[:, :3] * 255).astype(np.uint8)
    table.flags.writeable = False
    return table


def plotly_scale(name: str) -> list[tuple[float, str]]:
    """A colour map for plotly, in rgb() notation: Streamlit mistakes magma's hexadecimal #000004 for a theme colour.

    Raises:
        ValueError: the name is not in COLOUR_MAPS.
    """
    colours = colour_table(name)[::17].tolist()  # sixteen, both ends among them
    return [(step / (len(colours) - 1), "rgb({}, {}, {})".format(*rgb)) for step, rgb in enumerate(colours)]


@dataclass(frozen=True)
class Scale:
    """The values at the ends of a colour bar; `low == high` if all values are equal.

    A percentile scale is linear between the 1st and the 99th percentile of the values.
    """

    low: float
    high: float
    kind: ScaleKind = "linear"

    def share(self, values: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """The position of each value between the ends, in [0, 1]; 0 everywhere on a flat scale; NaN stays NaN."""
        if self.high <= self.low:
            return np.where(np.isnan(values), np.nan, 0).astype(np.float32)
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                places = 1 + np.log10(np.asarray(values, np.float64) / self.high) / np.log10(self.high / self.low)
        else:
            places = (np.asarray(values, np.float64) - self.low) / (self.high - self.low)
        clipped: np.ndarray = np.clip(places, 0, 1).astype(np.float32)
        return clipped


def weight_scale(*maps: Float[np.ndarray, "*_shape"], kind: ScaleKind = "linear") -> Scale:
    """One scale for maps of weights: linear from 0, log over three decades, or between two percentiles.

    Maps with negative values, such as PSA's without a softmax, get a scale symmetric about 0, never a log scale. If
    both percentiles are the same value, as in a map that is nearly all zeros, the scale is linear from 0. Several maps
    share the smallest scale that covers each map's own. colour.js has the same rules.
    """
    return joint_scale([scale_of_map(one[np.isfinite(one)], kind) for one in maps])


def scale_of_map(values: Float[np.ndarray, " count"], kind: ScaleKind) -> Scale:
    """The scale of one map; its values must be finite."""
    low, high = float(min(values.min(initial=0.0), 0.0)), largest(values)
    if kind != "percentile" or not values.size:
        return Scale(low, high, "log" if kind == "log" and low == 0 else "linear")
    first, last = (float(end) for end in np.percentile(values, BULK))
    if is_flat(first, last):
        return Scale(low, high)
    return Scale(min(first, -last) if low < 0 else first, last, kind)


def joint_scale(scales: Sequence[Scale]) -> Scale:
    """The smallest scale that covers all of them, symmetric about 0 if any reaches below it."""
    low, high = min((one.low for one in scales), default=0.0), max((one.high for one in scales), default=0.0)
    kinds = {one.kind for one in scales}
    kind: ScaleKind = "percentile" if "percentile" in kinds else "linear"
    if low < 0:
        high = max(-low, high)
        return Scale(-high, high, kind)
    if "log" in kinds and high > 0:
        return Scale(high / 10**LOG_DECADES, high, "log")
    return Scale(low, high, kind)


def span_scale(*maps: Float[np.ndarray, "*_shape"]) -> Scale:
    """From the smallest to the largest value (FLANet Fig. 6); flat if these are nearly equal."""
    finite = [one[np.isfinite(one)] for one in maps]
    low = min((float(one.min()) for one in finite if one.size), default=0.0)
    high = max((float(one.max()) for one in finite if one.size), default=0.0)
    return Scale(low, low if is_flat(low, high) else high)


def signed_scale(*maps: Float[np.ndarray, "*_shape"], kind: ScaleKind = "linear") -> Scale:
    """A scale symmetric about 0 that covers all values, or those between two percentiles."""
    high = largest(*(np.abs(one) for one in maps))
    if kind == "percentile":
        ends = [np.percentile(one[np.isfinite(one)], BULK) for one in maps if np.isfinite(one).any()]
        bulk = max((float(np.abs(pair).max()) for pair in ends if not is_flat(*map(float, pair))), default=0.0)
        return Scale(-bulk, bulk, kind) if bulk else Scale(-high, high)
    return Scale(-high, high)


def largest(*maps: Float[np.ndarray, "*_shape"]) -> float:
    """The largest finite value, at least 0."""
    return max((float(one[np.isfinite(one)].max(initial=0.0)) for one in maps), default=0.0)


def colour_values(
    values: Float[np.ndarray, "height width"], scale: Scale, name: str = "viridis"
) -> UInt8[np.ndarray, "height width 3"]:
    """The map as RGB; NaN becomes magenta."""
    share = scale.share(values)
    missing = np.isnan(share)
    picture = colour_table(name)[np.round(np.where(missing, 0, share) * (COLOUR_STEPS - 1)).astype(np.int64)]
    picture[missing] = NOT_A_NUMBER
    return picture


def text_colour(colours: UInt8[np.ndarray, "*shape 3"]) -> np.ndarray:
    """Black or white text, "#000" or "#fff", whichever contrasts more with each colour; the contrast is at least 4.58.

    By WCAG 2.2's relative luminance, as the viewer's `inkOn`.
    """
    share = colours / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array((0.2126, 0.7152, 0.0722))
    return np.where((luminance + 0.05) ** 2 > 1.05 * 0.05, "#000", "#fff")
