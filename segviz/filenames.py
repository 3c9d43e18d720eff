"""Safe file names: every user's text passes through here before it becomes part of a path."""

from __future__ import annotations

import re

MOST_BYTES = 120  # file systems allow 255; extensions are added later
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
ENDING = re.compile(r"\.\w{1,8}$")


def safe_name(text: str, otherwise: str = "file") -> str:
    """A name of letters, digits, `_`, `-` and `.`: no folder, not hidden, not too long, never empty; same extension."""
    name = re.sub(r"[^\w.-]+", "_", text).strip(".")
    if name.partition(".")[0].lower() in RESERVED:  # devices on Windows
        name = f"_{name}"
    stem, ending = split_ending(name)
    most = MOST_BYTES - len(ending.encode())
    return stem.encode()[:most].decode(errors="ignore").rstrip(".") + ending or otherwise


def make_unique(name: str, taken: set[str]) -> str:
    """The name, numbered before its extension if `taken` has it in any case; adds the result to `taken`."""
    stem, ending = split_ending(name)
    unique, number = name, 2
    while unique.lower() in taken:
        unique, number = f"{stem}-{number}{ending}", number + 1
    taken.add(unique.lower())
    return unique


def split_ending(name: str) -> tuple[str, str]:
    """The name without its extension, and the extension with its dot."""
    ending = match[0] if (match := ENDING.search(name)) else ""
    return name.removesuffix(ending) if ending else name, ending
