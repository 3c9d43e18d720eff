"""What a checkpoint says of itself: how it was made, how good it is, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

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


@dataclass(frozen=True)
class Cost:
    """What one picture costs: measured on `hardware`, and counted.

    Attributes:
        size: (height, width) of the picture in pixels.
        milliseconds: median time of a forward that keeps the maps.
        peak_mb: memory that the forward needs beyond the weights, in MiB.
        gflops: multiply-adds of the network, in 10^9.
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
    factors by which its block's context enters, by parameter name; `averaged` the decay of the averaged weights.
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

    @property
    def val_miou(self) -> float | None:
        """Mean IoU on val, single scale, in [0, 1]."""
        return self.evaluations[VAL].miou if VAL in self.evaluations else None

    @property
    def scenes_miou(self) -> float | None:
        """Mean IoU on drawn scenes that no training saw, in [0, 1]."""
        return self.evaluations[SCENES].miou if SCENES in self.evaluations else None


def to_json(record: Record) -> str:
    """The record as one line of JSON."""
    return json.dumps(asdict(record), sort_keys=True)


def from_json(text: str) -> Record:
    """The record of a line of JSON; fields that a later version may have added are left out.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is no record.
    """
    stored = known(Record, json.loads(text))
    tuples = {name: tuple(stored.get(name, ())) for name in ("classes", "lineage")}
    evaluations = {name: evaluation(one) for name, one in stored.get("evaluations", {}).items()}
    cost = stored.get("cost")
    if cost is not None:
        cost = Cost(**{**known(Cost, cost), "size": tuple(cost["size"])})
    return Record(**{**stored, **tuples, "evaluations": evaluations, "cost": cost})


def evaluation(stored: Mapping[str, Any]) -> Evaluation:
    """An evaluation of its JSON, lists turned into tuples."""
    matrix = tuple(tuple(row) for row in stored["confusion"])
    return Evaluation(**{**known(Evaluation, stored), "confusion": matrix, "scales": tuple(stored["scales"])})


def known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are fields of the dataclass."""
    return {one.name: stored[one.name] for one in fields(kind) if one.name in stored}
