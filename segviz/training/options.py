"""The options of a training, and the recipe: their defaults, the same for every model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class TrainOptions:
    """What the command line sets.

    Attributes:
        model: a row of MODELS.
        data: the data set's folder.
        out: the checkpoint to write; the log is written beside it.
        init: weights to start from: a checkpoint of ours, or a timm backbone's safetensors.
        gamma: where the gammas begin that `init` does not have, see `initialise`.
        steps, batch, crop: length, images a step, (height, width) of a view in pixels.
        rate: the largest learning rate; it falls to zero by the poly rule.
        budget: minutes, after which training ends however many steps it made; the schedule is fitted to it.
        scenes, scene_share: how many drawn scenes to mix in, and their share of each batch.
        balance: the share of pictures that are chosen by class (see Sampler).
        hard_share, jaccard, smoothing: see Loss.
        average: the decay of the averaged weights, which are what is kept; 0 keeps the last ones.
        validate: steps between two scores on val in the log; 0 scores at the end alone.
        freeze_backbone: leave the backbone as `init` has it, which halves the time of a step.
        output_stride: of the backbone while training; the model's own by default. Weights fit any.
        resume: go on from the state of an interrupted run.
        command: what the record says was typed.
    """

    model: str
    data: Path
    out: Path
    init: Path | None = None
    gamma: float = 0.0
    steps: int = 6000
    batch: int = 16
    crop: tuple[int, int] = (360, 480)
    rate: float = 2e-3
    budget: float | None = None
    seed: int = 0
    scenes: int = 4000
    scene_share: float = 0.75
    balance: float = 0.5
    hard_share: float = 0.3
    jaccard: float = 0.0
    smoothing: float = 0.0
    average: float = 0.998
    validate: int = 1000
    freeze_backbone: bool = False
    output_stride: int | None = None
    resume: bool = False
    device: str = "auto"
    command: str = ""

    @property
    def identity(self) -> str:
        """What must be the same for a resumed run to be the interrupted one."""
        free = ("data", "out", "init", "budget", "validate", "resume", "device", "command")
        same = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in free}
        return f"{self.data.name} {same}"
