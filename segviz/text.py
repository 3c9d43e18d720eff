"""Words and numbers for people: Markdown, pixels, percentages, means, and tables of a terminal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

NUMBER_CELL = re.compile(r"-?\d|-?$")  # a number, or none
SENTENCE_END = re.compile(r"[^\W\d_]{2}[.!?](?=\s)")  # not behind a number or a letter, as in "e.g. "
MOST_OF_NAME = 80  # letters of a file's name in a sentence
NONE = "–"  # replaces a number that is unknown; terminals get "-"
MARKUP = re.compile(r"[\\`*\[\]<>$~&]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word is not markup

# Markdown makes links of bare addresses, and Streamlit icons of `:name:`, even behind a backslash.
AUTOLINK = re.compile(r"https?:(?=//)|www(?=\.)|(?<=[-.\w+])@(?=[-\w]+\.)|:(?=[\w/+-]+:)", re.IGNORECASE)
WORD_JOINER = "\u2060"  # invisible and without width


# A JSON list of numbers over several lines; no text in JSON holds a line break.
NUMBERS_OVER_LINES = re.compile(r"\[\n\s*([-+.\w,\s]*?)\n\s*\]")


def format_json(value: Any) -> str:
    """A value as indented JSON, in which a list of numbers stands on one line, such as a row of a confusion matrix."""
    text = json.dumps(value, indent=2)
    return NUMBERS_OVER_LINES.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def escape_markdown(text: str) -> str:
    """Escapes a text of unknown origin, such as a file name, so Markdown shows it literally and on one line.

    An invisible character breaks up addresses, which Markdown would turn into links.
    """
    broken_up = AUTOLINK.sub(lambda match: match[0] + WORD_JOINER, " ".join(text.split()))
    return MARKUP.sub(lambda match: f"\\{match[0]}", broken_up)


def pixel_text(y: int, x: int) -> str:
    """A pixel in words, as on every page and in every file."""
    return f"y {y}, x {x}"


def size_text(shape: tuple[int, ...]) -> str:
    """A (height, width, ...) shape in words, width first."""
    return f"{shape[1]} x {shape[0]}"


def pixels_text(count: int) -> str:
    """A number of pixels, as "1 pixel" or "1,200 pixels"."""
    return f"{count:,} {'pixel' if count == 1 else 'pixels'}"


def format_percent(share: float | None, unknown: str = "-") -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return unknown if share is None or math.isnan(share) else f"{100 * share:.1f}"


def percent_text(share: float, decimals: int = 0) -> str:
    """A share in [0, 1] as a percentage with its sign, as on every page; the two stay on one line."""
    return f"{100 * share:.{decimals}f}\N{NO-BREAK SPACE}%"


def plain_text(text: str, most: int = 200) -> str:
    """Text without control characters, cut to `most` characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def name_text(name: str) -> str:
    """A file's name in a sentence; anybody may have given it."""
    return plain_text(name, MOST_OF_NAME)


def whole_sentences(text: str, most: int = 200) -> str:
    """A foreign text on one line, without control characters: the sentences that `most` characters hold.

    A first sentence that is longer is cut inside.
    """
    shown = plain_text(" ".join(text.split()), max(len(text), 1))
    if len(shown) <= most:
        return shown
    ends = [found.end() for found in SENTENCE_END.finditer(shown[: most + 1])]
    return shown[: ends[-1]] if ends else plain_text(shown, most)


def format_mean(values: Sequence[float], form: str = ".1f") -> str:
    """The mean, followed by "±" and the sample standard deviation if there are several values."""
    if not values:
        return NONE
    mean = f"{fmean(values):{form}}"
    return f"{mean} ± {stdev(values):{form.lstrip('+z')}}" if len(values) > 1 else mean


def format_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal; columns of numbers are aligned to the right."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    right = [all(NUMBER_CELL.match(row[column]) for row in rows) for column in range(len(heads))]
    padded = (
        [
            cell.rjust(wide) if number else cell.ljust(wide)
            for cell, wide, number in zip(line, widths, right, strict=True)
        ]
        for line in lines
    )
    return "\n".join("  ".join(line).rstrip() for line in padded)


def count_words(count: float, singular: str, plural: str = "") -> str:
    """A count and what is counted, as "1 pass" or "2 passes"; the plural adds an s where none is given."""
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {singular if count == 1 else plural or singular + 's'}"


def join_with_commas(values: Iterable[object]) -> str:
    """The values, separated by commas."""
    return ", ".join(map(str, values))


def join_choices(values: Iterable[object]) -> str:
    """The values to choose from, as "8, 16 or 32"."""
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last
