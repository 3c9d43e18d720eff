"""Tables as named columns, and their CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from segviz.text import plain_text

Value = str | float | int | None
Columns = Mapping[str, Sequence[Value]]  # title -> one value per row; None where a value is unknown
RowType = TypeVar("RowType")
FORMULA = re.compile(r"(^|[,;\t]\s*)(?=[=+\-@])")


@dataclass(frozen=True)
class ColumnSpec(Generic[RowType]):
    """One column of a table.

    Attributes:
        title: the heading.
        meaning: an explanation in a sentence or two, shown as help.
        value: computes a row's value; NaN or None if it is unknown.
        format: printf format of numbers; None for text.
    """

    title: str
    meaning: str
    value: Callable[[RowType], Value]
    format: str | None = "%.1f"


def tabulate(rows: Iterable[RowType], specs: Iterable[ColumnSpec[RowType]]) -> Columns:
    """The values of all rows, by column."""
    kept = list(rows)
    return {spec.title: [finite_or_none(spec.value(row)) for row in kept] for spec in specs}


def finite_or_none(value: Value) -> Value:
    """None for NaN and infinities, which JSON cannot hold and CSV leaves empty."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_text(columns: Columns) -> str:
    """The columns as CSV; unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def escape_formula(text: str) -> str:
    """Plain text that no spreadsheet reads as a formula, whichever separator it splits cells at."""
    return FORMULA.sub(r"\1'", plain_text(text, most=1000))
