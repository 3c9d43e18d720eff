"""What is stored with a tiny network of the Cues page: how it was trained, and what was measured on new pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite, sqrt

from segviz.typed_json import parse_json

Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class CueMeasurement:
    """A network over new pictures, one thing in each.

    Attributes:
        pictures: their number.
        correct: in how many of them the thing's class is right.
        first_seed: the scene number of the first; the others follow.
        weight: for each map over places, the weight that the thing's centre gives to the nine cells of the cue that
            decides, a mean over the first pictures, in [0, 1].
        influence: the share of the influence on the thing's winning score that lies on these cells, a mean likewise;
            None where nothing has influence.
        looked_at: how many pictures these means are over.
    """

    pictures: int
    correct: int
    first_seed: int
    weight: Mapping[str, float] = field(default_factory=dict)
    influence: float | None = None
    looked_at: int = 0

    @property
    def accuracy(self) -> float:
        """The share of correct answers."""
        return self.correct / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % interval (Wilson, JASA 1927)."""
        n, p = self.pictures, self.accuracy
        middle, spread = p + Z**2 / (2 * n), Z * sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        return max(0.0, (middle - spread) / (1 + Z**2 / n)), min(1.0, (middle + spread) / (1 + Z**2 / n))


@dataclass(frozen=True)
class CueRecord:
    """How a tiny network was trained, and what it can do.

    Attributes:
        block: a name in MODELS.
        kind: a key of `CUE_KINDS`.
        classes: their names.
        seed: of weights and pictures.
        most_steps: training ends after so many steps.
        steps: the steps that were made; fewer where the loss vanished.
        batch: pictures per step.
        rate: the highest learning rate.
        loss: the mean of the last steps.
        command: the command that trained it.
        minutes: how long that took.
        hardware: the machine.
        date: the day, as 2026-11-29.
        versions: of the libraries.
        measured: over new pictures.
    """

    block: str
    kind: str
    classes: tuple[str, ...]
    seed: int
    most_steps: int
    steps: int
    batch: int
    rate: float
    loss: float
    command: str
    minutes: float
    hardware: str
    date: str
    versions: Mapping[str, str]
    measured: CueMeasurement

    def to_json(self) -> str:
        """The record as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> CueRecord:
        """Read a record from a line of JSON.

        Raises:
            ValueError: it is not a record; the message names the field and what is wrong with it.
        """
        record = parse_json(CueRecord, text)
        measured = record.measured
        if not 0 <= measured.correct <= measured.pictures or not measured.pictures:
            raise ValueError(f"'measured' has {measured.correct} correct answers over {measured.pictures} pictures")
        shares = [*measured.weight.values(), 0.0 if measured.influence is None else measured.influence]
        if not all(isfinite(share) and -0.001 <= share <= 1.001 for share in shares):
            raise ValueError("'measured' has a share outside 0 to 1")
        return record
