"""Pictures in, files out: what several commands share."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from segviz.checkpoint import replace
from segviz.cli import UsageError
from segviz.data.scenes import draw_scene
from segviz.image import as_rgb
from segviz.views.paper import Place

Rgb = UInt8[np.ndarray, "height width 3"]
Arrays = dict[str, np.ndarray]
SCENE = "scene:"


def open_image(text: str) -> Rgb:
    """A picture from its path, or the drawn scene of `scene:SEED`."""
    if not text.startswith(SCENE):
        return as_rgb(Path(text))
    seed = text.removeprefix(SCENE)
    if not re.fullmatch(r"\d{1,18}", seed):
        raise UsageError(f"'{text}' names no scene; write scene:SEED with a whole number, such as scene:7")
    return draw_scene(int(seed)).image


def check_places(places: Sequence[Place], picture: Rgb, name: str) -> None:
    """Every place must lie in the picture.

    Raises:
        UsageError: one does not.
    """
    height, width = picture.shape[:2]
    for y, x in places:
        if not (y < height and x < width):
            raise UsageError(
                f"({y},{x}) is outside {name} of {width} x {height} pixels; use Y below {height} and X below {width}"
            )


def stems(texts: Sequence[str]) -> list[str]:
    """A file name's beginning for each picture: plain, and each one different, also where case does not count."""
    found: list[str] = []
    taken: set[str] = set()
    for text in texts:
        plain = text.replace(":", "-") if text.startswith(SCENE) else Path(text).stem
        plain = re.sub(r"[^\w.-]", "_", plain).strip(".")[:100] or "image"
        stem, number = plain, 2
        while stem.lower() in taken:
            stem, number = f"{plain}-{number}", number + 1
        taken.add(stem.lower())
        found.append(stem)
    return found


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file into the folder, whole or not at all; a link in its place is replaced, not followed."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / name, data)
    return folder / name


def png(picture: Rgb) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def indexed_png(labels: np.ndarray, palette: np.ndarray) -> bytes:
    """Class indices as a PNG with a palette; indices that are no class are black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    picture = Image.fromarray(labels)
    picture.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def npz(arrays: Arrays) -> bytes:
    """Arrays as a compressed NPZ."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
