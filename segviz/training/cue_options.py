"""The options of `train-cues`; quick to import, as `--help` must not wait for torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CUE_KIND_NAMES = ("anywhere", "row", "column", "shape", "nearer")  # the keys of `CUE_KINDS`


@dataclass(frozen=True)
class CueOptions:
    """What to train.

    Attributes:
        blocks: names in MODELS.
        kinds: keys of `CUE_KINDS`.
        out: the folder of the files.
        steps: at most so many for each network.
        batch: pictures per step.
        seed: of weights and pictures.
        command: what was typed, for the records.
    """

    blocks: tuple[str, ...]
    kinds: tuple[str, ...]
    out: Path
    steps: int = 300
    batch: int = 8
    seed: int = 0
    command: str = ""
