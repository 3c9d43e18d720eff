"""Test protocols in words: how pictures are shown to a network when it is scored."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isfinite

from segviz.models.conventions import USUAL_STEP


def describe_protocol(
    scales: Sequence[float],
    flip: bool,
    crop: tuple[int, int] | None = None,
    step: float | None = None,
    size: tuple[int, int] | None = None,
    long_side: int | None = None,
) -> str:
    """What differs from whole pictures at their own size, such as "scales 0.5, 1, flip"; "" where nothing does."""
    parts = []
    if tuple(scales) != (1.0,):
        parts.append(f"scale{'s' if len(scales) > 1 else ''} {', '.join(f'{one:g}' for one in scales)}")
    parts += ["flip"] if flip else []
    parts += [f"at {size[0]} x {size[1]}"] if size is not None else []
    parts += [f"long side {long_side}"] if long_side is not None else []
    if crop is not None:
        known = step is None or step == USUAL_STEP
        parts.append(f"crops of {crop[0]} x {crop[1]}" + ("" if known else f" by {name_share(step or 0)}"))
    return ", ".join(parts)


def describe_shown(
    scales: Sequence[float],
    flip: bool,
    crop: tuple[int, int] | None = None,
    step: float | None = None,
    size: tuple[int, int] | None = None,
    long_side: int | None = None,
) -> str:
    """How pictures were shown, such as "whole, at their own size" or "at their own size, crops of 705 x 705"."""
    parts = ["whole"] if crop is None else []
    parts += ["at their own size"] if size is None and long_side is None else []
    changed = describe_protocol(scales, flip, crop, step, size, long_side)
    return ", ".join([*parts, changed] if changed else parts)


def name_share(share: float) -> str:
    """A share as a fraction where it is a simple one, such as "2/3"."""
    if not isfinite(share):  # of a damaged record, which is refused later
        return f"{share:g}"
    fraction = Fraction(share).limit_denominator(12)
    return str(fraction) if abs(float(fraction) - share) < 1e-9 else f"{share:g}"
