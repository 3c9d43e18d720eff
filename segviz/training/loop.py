"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import time
from datetime import date
from importlib.metadata import version
from platform import machine, processor, python_version

import torch
from torch import Tensor
from tqdm import tqdm

from segviz.catalogue.checkpoint_file import write_checkpoint
from segviz.catalogue.curve import LogRow, write_log
from segviz.catalogue.record import SCENES, VAL, Record
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Split, load_split
from segviz.evaluation.evaluate import evaluate_samples, evaluate_scenes
from segviz.models.ablation import block_gammas
from segviz.models.registry import spec_of
from segviz.models.segmenter import Segmenter
from segviz.prediction.predictor import choose_device, device_title
from segviz.runtime.malloc import hold_freed_memory
from segviz.training.initialise import Start
from segviz.training.options import TrainOptions
from segviz.training.resume import remove_state
from segviz.training.run import TrainingRun

POLY_POWER = 0.9
WARM_UP = 0.03  # share of the training during which the rate rises
STEPS_BETWEEN_ROWS = 25  # steps per row of the log
SECONDS_BETWEEN_SAVES = 30.0


@hold_freed_memory()
def train_model(options: TrainOptions) -> Record:
    """Train one model, write its checkpoint and its log, and return the record.

    Raises:
        DataError: the data cannot be used; raised before the first step.
        CheckpointError: the initial weights do not fit.
    """
    spec_of(options.model)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    training, validation = load_split(options.data, "train", tqdm), load_split(options.data, "val", tqdm)
    classes = training.classes.names
    if options.scenes and classes != CAMVID.names:
        raise DataError(f"drawn scenes have CamVid's classes, but {options.data} has others; use --scenes 0")
    run = TrainingRun(options, training, device)
    torch.backends.cudnn.benchmark = device.type == "cuda"  # all views have the same size
    log: list[LogRow] = []
    state = options.out.with_suffix(".resume.pt")
    losses: list[Tensor] = []  # since the last row of the log
    step, before = run.restore(state, log, losses) if options.resume else (0, 0.0)
    saved = time.monotonic()
    started = saved - before
    bar = tqdm(total=options.steps, initial=step, desc=options.model, unit="step")
    try:
        while step < options.steps:
            minutes = (time.monotonic() - started) / 60
            progress = max(step / options.steps, minutes / options.budget if options.budget else 0)
            if progress >= 1:
                break
            rate = run.set_rate(options.rate * min(1, (progress + 1e-3) / WARM_UP) * (1 - progress) ** POLY_POWER)
            losses.append(run.step(run.sampler(step), step))
            step += 1
            bar.update()
            if step % STEPS_BETWEEN_ROWS == 0:
                loss = float(torch.stack(losses).mean())
                losses.clear()
                score = None
                if options.validate and step % options.validate == 0 and step < options.steps:
                    pause = time.monotonic()
                    score = evaluate_samples(run.checkpoint_model.eval(), validation.samples, classes, "val").miou
                    run.set_mode()
                    started += time.monotonic() - pause
                log.append(LogRow(step, (time.monotonic() - started) / 60, rate, loss, score))
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                run.save(state, step, time.monotonic() - started, log, losses)
                saved = time.monotonic()
    except KeyboardInterrupt:  # it may come in the middle of a step, so only whole steps are saved
        if state.is_file():
            bar.write(f"stopped in step {step}; the same command with --resume goes on from the last saved step")
        raise
    finally:
        bar.close()

    minutes = (time.monotonic() - started) / 60
    record = make_record(run.checkpoint_model.eval(), run.start, options, validation, step, minutes, device)
    loss = float(torch.stack(losses).mean()) if losses else log.pop().loss
    log.append(LogRow(step, minutes, 0.0, loss, record.val_miou))
    write_checkpoint(options.out, run.checkpoint_model, record)
    write_log(options.out.with_suffix(".csv"), log)
    remove_state(state)
    return record


def make_record(
    model: Segmenter,
    start: Start,
    options: TrainOptions,
    validation: Split,
    steps: int,
    minutes: float,
    device: torch.device,
) -> Record:
    """The record of a finished training, scored on val and, if it used scenes, on unseen scenes."""
    model.load_state_dict({name: round_to_half(value) for name, value in model.state_dict().items()})
    classes = validation.classes.names
    evaluations = {VAL: evaluate_samples(model, validation.samples, classes, f"{options.data.name} val")}
    if options.scenes:
        evaluations[SCENES] = evaluate_scenes(model, classes)
    return Record(
        model=options.model,
        classes=classes,
        backbone=spec_of(options.model).backbone,
        output_stride=model.backbone.output_stride,
        command=options.command,
        data=f"{options.data.name} train"
        + (f" and {options.scenes} drawn scenes ({options.scene_share:.0%} of each batch)" if options.scenes else ""),
        initial=start.title,
        lineage=start.lineage,
        seed=options.seed,
        steps=steps,
        minutes=round(minutes, 1),
        hardware=f"{device_title(device)}, {processor() or machine()}",
        date=date.today().isoformat(),
        versions={
            "python": python_version(),
            **{name: version(name) for name in ("torch", "timm", "torchvision", "numpy")},
        },
        gammas=block_gammas(model),
        evaluations=evaluations,
    )


def round_to_half(value: Tensor) -> Tensor:
    """Round a weight to what the checkpoint will hold, so that the scores are those of the file."""
    return value.half().to(value.dtype) if value.is_floating_point() else value
