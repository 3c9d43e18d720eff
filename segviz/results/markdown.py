"""How figures and names are written in MODELS.md and the README's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isnan
from typing import TypeAlias

from segviz.text import NONE

Rows: TypeAlias = list[tuple[str, ...]]


def format_score(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in percent; a dash where there is none."""
    return NONE if share is None or isnan(share) else f"{100 * share:.{digits}f}"


def distinct(texts: Iterable[str]) -> list[str]:
    """Each text once, in the order of first sight."""
    return list(dict.fromkeys(texts))


def as_code(text: str) -> str:
    """As code."""
    return f"`{text}`"


def join_names(names: Iterable[str], named: Callable[[str], str] = as_code) -> str:
    """Names as code, or named otherwise, with an "and" before the last."""
    *others, last = map(named, names)
    return f"{', '.join(others)} and {last}" if others else last


def escape_cell(text: str) -> str:
    """A record's text inside a table's cell: one line, no bar."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown_table(rows: Rows) -> str:
    """A table; the first row is the head."""
    head, *body = (" | ".join(row) for row in rows)
    rule = " | ".join("---" for _ in rows[0])
    return "\n".join(f"| {line} |" for line in (head, rule, *body)) + "\n"
