"""Names of files from any words: no user's text becomes a path without passing here."""

from __future__ import annotations

import re

MOST_BYTES = 120  # file systems take 255, and endings are added
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
ENDING = re.compile(r"\.\w{1,8}$")


def safe_name(text: str, otherwise: str = "file") -> str:
    """Letters, digits, `_`, `-` and `.`: no folder, not hidden, not too long, never empty; the ending is kept."""
    name = re.sub(r"[^\w.-]+", "_", text).strip(".")
    if name.partition(".")[0].lower() in RESERVED:  # devices, on Windows
        name = f"_{name}"
    stem, ending = split_ending(name)
    most = MOST_BYTES - len(ending.encode())
    return stem.encode()[:most].decode(errors="ignore").rstrip(".") + ending or otherwise


def make_unique(name: str, taken: set[str]) -> str:
    """The name, with a number before its ending where it is taken, also in other case; then it is taken."""
    stem, ending = split_ending(name)
    found, number = name, 2
    while found.lower() in taken:
        found, number = f"{stem}-{number}{ending}", number + 1
    taken.add(found.lower())
    return found


def split_ending(name: str) -> tuple[str, str]:
    """A name before its ending, and the ending with its dot."""
    ending = match[0] if (match := ENDING.search(name)) else ""
    return name.removesuffix(ending) if ending else name, ending
