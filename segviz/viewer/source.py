"""The viewer's page, style and script, as they go to the browser."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = (
    "swift_products.js",
    "arithmetic.js",
    "places.js",
    "statistics.js",
    "map_kinds.js",
    "maps.js",
    "outlines.js",
    "colour.js",
    "settings.js",
    "dom.js",
    "samples.js",
    "layer.js",
    "reading.js",
    "legend.js",
    "preferences.js",
    "pins.js",
    "swipe.js",
    "panel.js",
    "drawing.js",
    "factors.js",
    "gestures.js",
    "keyboard.js",
    "toolbar.js",
    "viewer.js",
)  # in the order in which they need one another


def markup() -> str:
    """The viewer's HTML."""
    return (FOLDER / "viewer.html").read_text(encoding="utf-8")


def style() -> str:
    """The viewer's CSS."""
    return (FOLDER / "viewer.css").read_text(encoding="utf-8")


def script() -> str:
    """The viewer's files as one module: without imports, and with the component as the only export."""
    parts = ((FOLDER / "js" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    source = re.sub(r"^import .*\n", "", "\n".join(parts), flags=re.MULTILINE)
    return re.sub(r"^export (?!default)", "", source, flags=re.MULTILINE)
