"""Tables as named columns, and their CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

Columns = Mapping[str, Sequence[str | float | int | None]]


def finite_or_none(value: str | float | None) -> str | float | None:
    """None for numbers that are none: files leave those empty, and JSON has no word for them."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_text(columns: Columns) -> str:
    """Columns as CSV; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
