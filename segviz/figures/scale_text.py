"""Numbers at the ends of a scale, in text."""

from __future__ import annotations

from segviz.figures.colour import Scale

DIGITS = 3
MOST_DIGITS = 17  # tell any two numbers apart
SCALE_WORDS = {"linear": "linear", "log": "log", "percentile": "1st to 99th percentile"}


def format_number(value: float, digits: int = DIGITS) -> str:
    """The number to so many significant digits; from 1000 to a million, all digits before the point."""
    if 1000 <= abs(value) < 1e6:
        return f"{value:.{max(digits - 4, 0)}f}"
    return f"{value:.{digits}g}".replace("e-0", "e-")


def format_ends(low: float, high: float, percent: bool = False) -> tuple[str, str]:
    """Both ends of a scale to three significant digits, or to as many as tell them apart; in percent if asked."""
    if percent:
        first, last = format_ends(100 * low, 100 * high)
        return f"{first} %", f"{last} %"
    for digits in range(DIGITS, MOST_DIGITS + 1):
        ends = format_number(low, digits), format_number(high, digits)
        if ends[0] != ends[1] or low == high:
            break
    return ends


def describe_scale(scale: Scale, percent: bool = False) -> str:
    """The scale in words."""
    low, high = format_ends(scale.low, scale.high, percent)
    if low == high:
        return f"{low} everywhere"
    return f"{SCALE_WORDS[scale.kind]} scale {low} to {high}"
