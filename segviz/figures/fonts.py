"""Fonts for names in any script: matplotlib's own font, and installed ones for the letters that it lacks."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from threading import Lock

from matplotlib.font_manager import FontEntry, findSystemFonts, fontManager, get_font

BASE = "DejaVu Sans"  # comes with matplotlib
PLACEHOLDERS = "Last Resort"  # fonts that draw a box for every letter
REGULAR = 400  # the weight of a regular font
NAMED = 8  # letters that a message lists

log = logging.getLogger(__name__)
_lock = Lock()
_families: dict[str, str | None] = {}  # letter -> family of an installed font that has it
_reported: set[str] = set()


def choose_families(text: str) -> list[str]:
    """The families that together have the text's letters, matplotlib's own first; letters that none has get boxes."""
    found = dict.fromkeys(family for family in families_of_letters(text).values() if family)
    return [BASE, *(family for family in found if family != BASE)]


def missing_letters(texts: Iterable[str]) -> str:
    """The letters of the texts that no installed font has, each once."""
    return "".join(letter for letter, family in families_of_letters("".join(texts)).items() if family is None)


def describe_missing_letters(letters: str) -> str:
    """A sentence about letters that no installed font has, and its cure."""
    named = ", ".join(f"{letter} ({unicodedata.name(letter, f'U+{ord(letter):04X}')})" for letter in letters[:NAMED])
    more = f" and {len(letters) - NAMED} more" if len(letters) > NAMED else ""
    return f"no installed font has {named}{more}; figures show boxes. Install a font for this script, such as Noto Sans"


def report_missing(text: str) -> None:
    """Logs the letters that no installed font has, each once in a process."""
    new = [letter for letter in missing_letters([text]) if letter not in _reported]
    if new:
        _reported.update(new)
        log.warning("%s", describe_missing_letters("".join(new)))


def families_of_letters(text: str) -> dict[str, str | None]:
    """For each letter of the text, a family that has it, or None; fonts are searched once for each letter."""
    letters = dict.fromkeys(letter for letter in text if letter.isprintable())
    with _lock:
        new = {ord(letter) for letter in letters if letter not in _families}
        if new:
            new -= search_fonts(new, sorted(fontManager.ttflist, key=rank_font))
        if new:  # a font may be newer than matplotlib's list, which it keeps in a file
            new -= search_fonts(new, add_new_fonts())
        _families.update((chr(code), None) for code in new)
        return {letter: _families[letter] for letter in letters}


def search_fonts(codes: set[int], entries: Iterable[FontEntry]) -> set[int]:
    """Notes the first font that has each code point; returns the code points that some font has."""
    found: set[int] = set()
    for entry in entries:
        own = (codes - found) & letter_codes(entry)
        _families.update((chr(code), entry.name) for code in own)
        found |= own
        if found == codes:
            break
    return found


@cache
def add_new_fonts() -> list[FontEntry]:
    """Adds installed fonts that matplotlib has not listed; once in a process."""
    listed, count = {entry.fname for entry in fontManager.ttflist}, len(fontManager.ttflist)
    for path in findSystemFonts():
        if path not in listed:
            with suppress(OSError, RuntimeError, ValueError):  # a font that matplotlib cannot use
                fontManager.addfont(path)
    return sorted(fontManager.ttflist[count:], key=rank_font)


def rank_font(entry: FontEntry) -> tuple[bool, bool, bool, str]:
    """Sorts fonts: matplotlib's own, then upright and regular ones, those without serifs first."""
    plain = entry.style == "normal" and entry.weight in (REGULAR, "normal", "regular")
    return entry.name != BASE, not plain, "Sans" not in entry.name, entry.name


def letter_codes(entry: FontEntry) -> set[int]:
    """The code points that a font has; none if it cannot be read or only draws boxes."""
    if PLACEHOLDERS in entry.name:
        return set()
    try:
        return set(get_font(entry.fname).get_charmap())
    except (OSError, RuntimeError):  # deleted since matplotlib listed it, or broken
        return set()
