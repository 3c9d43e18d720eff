"""Markdown of MODELS.md and the README's table: tables, names and code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

Rows: TypeAlias = list[tuple[str, ...]]


def distinct(texts: Iterable[str]) -> list[str]:
    """The texts without duplicates, in the order of their first occurrence."""
    return list(dict.fromkeys(texts))


def as_code(text: str) -> str:
    """The text as inline code."""
    return f"`{text}`"


def join_names(names: Iterable[str], named: Callable[[str], str] = as_code) -> str:
    """Names, formatted by `named`, with commas and an "and" before the last."""
    *others, last = map(named, names)
    return f"{', '.join(others)} and {last}" if others else last


def escape_cell(text: str) -> str:
    """A text for a table cell: on one line, its bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown_table(rows: Rows) -> str:
    """A table; the first row is its head."""
    head, *body = (" | ".join(row) for row in rows)
    rule = " | ".join("---" for _ in rows[0])
    return "\n".join(f"| {line} |" for line in (head, rule, *body)) + "\n"
