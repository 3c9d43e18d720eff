"""What a checkpoint says of itself: how it was made, how good it is, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isnan

from segviz.text import plain_text
from segviz.typed_json import parse_json

# The names of a record's evaluations: on CamVid's val split unless they say otherwise, single scale.
VAL, SCENES = "val", "scenes"
VAL_MULTI_SCALE = "val, multi-scale and flip"
VAL_WITHOUT_CONTEXT = "val, without context"
Shares = Mapping[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Scores on one set of labelled pictures.

    Attributes:
        data: which pictures, in words.
        images: how many.
        miou: mean IoU of the classes that occur, in [0, 1].
        accuracy: share of pixels that are right, in [0, 1].
        iou: by class name, in [0, 1]; None for a class that neither occurs nor is predicted.
        boundary_iou: the same, counted within a few pixels of class borders only (see `metrics.boundary_band`).
        confusion: pixel counts, `confusion[truth][predicted]`.
        scales: factors on the picture's size whose softmax scores were averaged.
        flip: whether the mirrored picture was averaged in.
        context: False where the block's context was switched off.
    """

    data: str
    images: int
    miou: float
    accuracy: float
    iou: Shares
    boundary_iou: Shares
    confusion: tuple[tuple[int, ...], ...]
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    context: bool = True

    @property
    def pictures(self) -> str:
        """What it was made on, with the number of pictures."""
        return self.data if str(self.images) in self.data.split() else f"{self.data} ({self.images} pictures)"

    @property
    def boundary_miou(self) -> float | None:
        """Mean boundary IoU of the classes that have one, in [0, 1]; None where none has."""
        known = [share for share in self.boundary_iou.values() if share is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Cost:
    """What one picture costs: measured on `hardware`, and counted.

    Attributes:
        size: (height, width) of the picture in pixels.
        milliseconds: median time of a forward that keeps the maps.
        peak_mb: memory that the forward needs beyond the weights, in MiB.
        gflops: operations of the network in 10^9, two a multiply-add; elementwise ones are not counted.
        parameters: how many the network has.
        hardware: what it was measured on.
    """

    size: tuple[int, int]
    milliseconds: float
    peak_mb: float
    gflops: float
    parameters: int
    hardware: str


@dataclass(frozen=True)
class Record:
    """How a checkpoint was made, and what was measured of it.

    `lineage` holds the commands that made the checkpoints it started from, the oldest first; `gammas` the trained
    factors by which its block's context enters, by parameter name.
    """

    model: str
    classes: tuple[str, ...]
    backbone: str
    output_stride: int
    command: str = ""
    data: str = ""
    initial: str = ""
    lineage: tuple[str, ...] = ()
    seed: int = 0
    steps: int = 0
    minutes: float = 0.0
    hardware: str = ""
    date: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    gammas: Mapping[str, float] = field(default_factory=dict)
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    cost: Cost | None = None

    def miou(self, evaluation: str) -> float | None:
        """Mean IoU of an evaluation, in [0, 1]; None where it was not made, or no class occurred."""
        one = self.evaluations.get(evaluation)
        return None if one is None or isnan(one.miou) else one.miou

    @property
    def val_miou(self) -> float | None:
        """Mean IoU on val, single scale, in [0, 1]."""
        return self.miou(VAL)

    @property
    def scenes_miou(self) -> float | None:
        """Mean IoU on drawn scenes that no training saw, in [0, 1]."""
        return self.miou(SCENES)


def to_json(record: Record) -> str:
    """The record as one line of JSON."""
    return json.dumps(asdict(record), sort_keys=True)


def from_json(text: str) -> Record:
    """The record of a line of JSON; fields that a later version may have added are left out.

    Raises:
        ValueError: it is no record; the message says what is wrong with which field.
    """
    record = parse_json(Record, text)
    if not record.classes or len(set(record.classes)) < len(record.classes):
        raise ValueError(f"'classes' are {plain_text(str(list(record.classes)), 80)}, not one or more different names")
    for name, one in record.evaluations.items():
        check_evaluation(one, name, record.classes)
    return record


def check_evaluation(one: Evaluation, name: str, classes: tuple[str, ...]) -> None:
    """Hold an evaluation to its record's classes.

    Raises:
        ValueError: its scores or counts are not of these classes.
    """
    sizes = {len(one.confusion), *map(len, one.confusion)}
    if sizes != {len(classes)}:
        raise ValueError(f"'confusion' of '{name}' is not {len(classes)} x {len(classes)}, a row and a column a class")
    if min(map(min, one.confusion)) < 0:
        raise ValueError(f"'confusion' of '{name}' counts fewer than no pixels")
    for kind, shares in (("iou", one.iou), ("boundary_iou", one.boundary_iou)):
        if not set(shares) <= set(classes):
            others = plain_text(str(sorted(set(shares) - set(classes))), 80)
            raise ValueError(f"'{kind}' of '{name}' is of {others}, which are no classes")
        if any(share is not None and not 0 <= share <= 1 for share in shares.values()):
            raise ValueError(f"'{kind}' of '{name}' has a share outside of 0 to 1")
    if not all(0 <= share <= 1 or isnan(share) for share in (one.miou, one.accuracy)):
        raise ValueError(f"'{name}' has a share outside of 0 to 1")
