"""Training options; their defaults are the recipe, the same for every model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class TrainOptions:
    """The options of one training, as the command line sets them.

    Attributes:
        model: the model's name.
        data: the data set's folder.
        out: the checkpoint to write; the log is written beside it.
        init: weights to start from: a segviz checkpoint, or a timm backbone's safetensors.
        gamma: initial value of the gammas that `init` lacks, see `initialise`.
        steps, batch, crop: number of steps, views per step, (height, width) of a view in pixels.
        rate: largest learning rate; it falls to zero by the poly rule.
        budget: minutes after which training ends, whatever its steps; the schedule follows it.
        scenes, scene_share: number of drawn scenes, and their share of each batch.
        balance: share of pictures chosen by class (see Sampler).
        hard_share, jaccard, smoothing: see Loss.
        average: decay of the averaged weights, which become the checkpoint; 0 takes the last weights.
        validate: steps between two scores on val in the log; 0 scores at the end only.
        freeze_backbone: leave the backbone as in `init`, which halves the time of a step.
        output_stride: the backbone's stride in training, by default the model's; the weights fit any stride.
        resume: continue from the state of an interrupted run.
        command: the command for the record.
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
        """The options that a resumed run must share with the interrupted one."""
        free = ("data", "out", "init", "rate", "budget", "validate", "resume", "device", "command")
        same = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in free}
        return f"{self.data.name} {same}"
