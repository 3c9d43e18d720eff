"""Training options; their defaults are the recipe `segviz`, the same for every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from segviz.models.options import OptionValue, format_options
from segviz.training.recipes import format_setting
from segviz.training.view_range import STREET_VIEWS, Scales, ViewRange

OPTIMIZERS = ("adamw", "sgd")
FREE_TO_CHANGE = (  # where a run is resumed
    "data", "out", "init", "rate", "budget", "validate", "resume", "overwrite", "device", "command", "parts", "recipe",
)  # fmt: skip
OWN_AUXILIARY: Mapping[str, float] = MappingProxyType({"middle": 0.4, "context": 0.4})


@dataclass(frozen=True)
class TrainOptions:
    """The options of one training, as the command line sets them.

    Attributes:
        model: the network's name.
        data: the data set's folder.
        split: what to train on, such as "train" or "train+val".
        class_map, skip_damaged: see `load_split`.
        out: the checkpoint to write; the log is written beside it.
        recipe: the recipe that gave the options which were not typed (`recipes.RECIPES`); for the record.
        backbone, options: a backbone in place of the network's own, and options of the network (`build`).
        init: weights to start from: a segviz checkpoint, or a timm backbone's safetensors.
        gamma: initial value of the gammas that `init` lacks, see `initialise`.
        steps, batch, crop: number of steps, views per step, (height, width) of a view in pixels.
        epochs: in place of `steps`: how often each picture is shown, where none is chosen by class.
        parts: number of parts in which each batch is processed, one after the other; gradients are summed.
        optimizer, momentum, weight_decay: "adamw", or "sgd" with this momentum; the decay is of all weights.
        rate: largest learning rate; it falls to zero by the poly rule.
        power, warm_up: the poly rule's power, and the share of the training during which the rate rises before.
        clip: largest norm of the gradient, to which longer ones are shortened; 0 leaves all as they are.
        part_rates: whether backbone, block, attention and gammas have own learning rates (`parameter_groups`).
        budget: minutes after which training ends, whatever its steps; the schedule follows it.
        scenes, scene_share: number of drawn scenes, and their share of each batch.
        balance: share of pictures chosen by class (see Sampler).
        scales, own_scale, colours, rotation, blur, mirror: see ViewRange.
        class_weights: whether rare classes weigh more in the loss.
        hard_share, ohem, jaccard, smoothing: see Loss.
        auxiliary: weights of the auxiliary losses, by point (`AUXILIARY_POINTS`).
        auxiliary_width: channels of the auxiliary classifiers' 3x3 convolution.
        auxiliary_stride: pixels between the labels in the auxiliary losses; 1 takes all.
        average: decay of the averaged weights, which become the checkpoint; 0 takes the last weights.
        validate: steps between two scores on val in the log; 0 scores at the end only.
        freeze_backbone: leave the backbone as in `init`, which halves the time of a step.
        output_stride: the backbone's stride in training, by default the model's; the weights fit any stride.
        resume: continue from the state of an interrupted run.
        overwrite: replace a checkpoint, or the state of an interrupted run, that exists already.
        command: the command for the record.
    """

    model: str
    data: Path
    out: Path
    split: str = "train"
    class_map: Path | None = None
    skip_damaged: bool = False
    recipe: str = "segviz"
    backbone: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    init: Path | None = None
    gamma: float = 0.0
    steps: int = 6000
    epochs: float | None = None
    batch: int = 16
    parts: int = 1
    crop: tuple[int, int] = (360, 480)
    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    rate: float = 2e-3
    power: float = 0.9
    warm_up: float = 0.03
    clip: float = 5.0
    part_rates: bool = True
    budget: float | None = None
    seed: int = 0
    scenes: int = 4000
    scene_share: float = 0.75
    balance: float = 0.5
    scales: Scales = STREET_VIEWS.scales
    own_scale: float = 0.5
    colours: str = "street"
    rotation: float = 0.0
    blur: float = 0.0
    mirror: bool = True
    class_weights: bool = True
    hard_share: float = 0.3
    ohem: float = 0.0
    jaccard: float = 0.0
    smoothing: float = 0.0
    auxiliary: Mapping[str, float] = field(default_factory=lambda: dict(OWN_AUXILIARY))
    auxiliary_width: int = 64
    auxiliary_stride: int = 4
    average: float = 0.998
    validate: int = 1000
    freeze_backbone: bool = False
    output_stride: int | None = None
    resume: bool = False
    overwrite: bool = False
    device: str = "auto"
    command: str = ""

    @property
    def identity(self) -> dict[str, str]:
        """The options that a resumed run must share with the interrupted one, by name, as they are typed."""
        same = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in FREE_TO_CHANGE}
        network = {"option": format_options(same.pop("options")) or "none"}
        return {"data": self.data.name, **network, **{name: format_setting(value) for name, value in same.items()}}

    @property
    def views(self) -> ViewRange:
        """The views that may be drawn of a picture."""
        return ViewRange(self.scales, self.own_scale, self.colours, self.rotation, self.blur, self.mirror)


def poly_rate(options: TrainOptions, progress: float) -> float:
    """The learning rate at a share of the training: `(1 - progress) ** power`, after a rise in its first part."""
    rise = min(1, (progress + 1e-3) / options.warm_up) if options.warm_up else 1.0
    fall: float = (1 - progress) ** options.power
    return options.rate * rise * fall
