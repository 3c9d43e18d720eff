"""Small pictures and a small data set for runs over many pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from segviz.batch.finished_pictures import LIST_NAME
from segviz.data.classes import CAMVID


def make_album(folder: Path, count: int) -> Path:
    """A folder of pictures of several sizes and formats, one of them damaged where there are more than three."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (40 + number % 3, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.{'jpg' if number % 2 else 'png'}")
    if count > 3:
        (folder / "03.jpg").write_bytes(b"\xff\xd8\xff but no picture")
    return folder


def make_data(root: Path, count: int) -> Path:
    """A data set with a split `val` of 48 x 64 pixels."""
    random = np.random.default_rng(1)
    for part in ("images", "labels"):
        (root / "val" / part).mkdir(parents=True)
    names = [f"street{number}" for number in range(count)]
    (root / "val.txt").write_text("\n".join(names) + "\n")
    (root / "meta.json").write_text(json.dumps({"classes": CAMVID.names, "void": 255}))
    for name in names:
        pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "val" / "images" / f"{name}.png")
        labels = random.integers(0, len(CAMVID.names), (6, 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(root / "val" / "labels" / f"{name}.png")
    return root


def files_of(folder: Path) -> dict[str, bytes]:
    """All files but the list of what is finished."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != LIST_NAME}
