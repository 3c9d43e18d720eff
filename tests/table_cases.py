"""Checkpoints, data and commands that the tests of the papers' tables share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segviz.catalogue.record import Evaluation
from segviz.cli import main
from segviz.data.class_sets import CLASS_SETS
from segviz.paper_tables.scores import CheckpointFolder
from segviz.paper_tables.tables import PAPER_TABLES

CITYSCAPES = CLASS_SETS["cityscapes"].names
NOTHING = CheckpointFolder(Path("nowhere"), ())
OURS = [(table, row) for table in PAPER_TABLES.values() for row in table.rows if row.network is not None]


def run_segviz(*arguments: object) -> int:
    """Run a command in this process and give its exit code."""
    try:
        return main.main([str(argument) for argument in arguments])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def printed(table: str, label: str, column: int, group: str = "") -> float:
    """A printed number."""
    rows = [row for row in PAPER_TABLES[table].rows if row.label == label and row.group in (group, row.group)]
    value = rows[0].printed[column]
    assert isinstance(value, int | float)
    return value


def evaluation(miou: float, **shown: Any) -> Evaluation:
    """Scores on Cityscapes' val; `shown` are fields of how the pictures were shown."""
    zeros = tuple((0,) * len(CITYSCAPES) for _ in CITYSCAPES)
    return Evaluation("cityscapes val", 500, miou, 0.9, {}, {}, zeros, **shown)


def write_cityscapes(root: Path) -> Path:
    """One picture of Cityscapes' val in its own layout."""
    place = {kind: root / kind / "val" / "aachen" for kind in ("leftImg8bit", "gtFine")}
    for folder in place.values():
        folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(picture).save(place["leftImg8bit"] / "aachen_0_0_leftImg8bit.png")
    labels = random.choice(np.array([7, 8, 11], np.uint8), (64, 96))
    Image.fromarray(labels).save(place["gtFine"] / "aachen_0_0_gtFine_labelIds.png")
    return root
