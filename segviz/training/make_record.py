"""The record of a finished training, which its checkpoint holds."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from importlib.metadata import version
from platform import machine, processor, python_version

from torch import Tensor

from segviz.catalogue.record import SCENES, VAL, Record
from segviz.data.sample import Split
from segviz.evaluation.evaluate import evaluate_samples, evaluate_scenes, scenes_title
from segviz.models.ablation import block_gammas
from segviz.models.registry import own_body
from segviz.prediction.predictor import device_title
from segviz.training.options import TrainOptions
from segviz.training.recipes import format_setting
from segviz.training.run import TrainingRun

RECORDED_ELSEWHERE = (
    "model", "backbone", "options", "output_stride", "data", "out", "init", "seed", "resume", "overwrite", "device",
    "command",
)  # fmt: skip


def make_record(run: TrainingRun, validation: Split, steps: int, minutes: float) -> Record:
    """The record of a finished training, scored on val and, if it used scenes, on unseen scenes.

    The kept weights are rounded to what the checkpoint will hold.
    """
    model, options = run.checkpoint_model.eval(), run.options
    model.load_state_dict({name: round_to_half(value) for name, value in model.state_dict().items()})
    classes = validation.classes.names
    evaluations = {VAL: evaluate_samples(model, validation.samples, classes, f"{options.data.name} val")}
    if options.scenes:
        evaluations[SCENES] = evaluate_scenes(model, classes)
    return Record(
        model=options.model,
        classes=classes,
        backbone=options.backbone or own_body(options.model)[0],
        output_stride=model.output_stride,
        command=options.command,
        data=f"{options.data.name} {options.split}"
        + (f" and {scenes_title(options.scenes)} ({options.scene_share:.0%} of each batch)" if options.scenes else ""),
        initial=run.start.title,
        lineage=run.start.lineage,
        seed=options.seed,
        steps=steps,
        minutes=round(minutes, 1),
        hardware=f"{device_title(run.device)}, {processor() or machine()}",
        date=date.today().isoformat(),
        versions={
            "python": python_version(),
            **{name: version(name) for name in ("torch", "timm", "torchvision", "numpy")},
        },
        gammas=block_gammas(model),
        evaluations=evaluations,
        options=dict(model.options),
        settings=describe_settings(options),
        palette=validation.classes.palette,
    )


def describe_settings(options: TrainOptions) -> dict[str, str]:
    """The options of a training that a record has nowhere else, as they are typed."""
    values = {one.name: getattr(options, one.name) for one in fields(options) if one.name not in RECORDED_ELSEWHERE}
    return {name: format_setting(value) for name, value in values.items() if value is not None}


def round_to_half(value: Tensor) -> Tensor:
    """Round a weight to what the checkpoint will hold, so that the scores are those of the file."""
    return value.half().to(value.dtype) if value.is_floating_point() else value
