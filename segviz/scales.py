"""The kinds of colour scale, and the numbers that Python and the browser share about them. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

ScaleKind = Literal["linear", "log", "percentile"]
LOG_DECADES = 3  # a log scale spans three decades below its maximum
BULK = (1, 99)  # the percentiles that a percentile scale spans
PEAKED = 50  # times the even share: above it, a linear scale shows one cell and little else; layer.js has the same
FLAT = 1e-3  # a relative spread below this is drawn flat: full contrast would show rounding; colour.js has the same


def is_flat(low: float, high: float) -> bool:
    """Whether two values are too close for colours to tell them apart."""
    return high - low <= FLAT * max(abs(low), abs(high))
