"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import sys
import time
from datetime import date
from importlib.metadata import version
from platform import machine, processor, python_version

import torch
from torch import Tensor
from tqdm import tqdm

from segviz.atomic_write import check_destination
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
from segviz.runtime.interrupts import delay_interrupt
from segviz.runtime.malloc import hold_freed_memory
from segviz.runtime.progress import progress_bar
from segviz.training.checks import check_labels_of, check_loss, describe_absent
from segviz.training.initialise import Start
from segviz.training.options import TrainOptions
from segviz.training.resume import remove_state
from segviz.training.run import TrainingRun

POLY_POWER = 0.9
WARM_UP_SHARE = 0.03  # share of the training during which the rate rises
STEPS_BETWEEN_ROWS = 25  # steps per row of the log
SECONDS_BETWEEN_SAVES = 30.0


@hold_freed_memory()
def train_model(options: TrainOptions) -> Record:
    """Train one model, write its checkpoint and its log, and return the record.

    Raises:
        DataError: the data cannot be used; raised before the first step.
        CheckpointError: the initial weights do not fit.
        OSError: the checkpoint cannot be written; raised before the first step.
        DivergedError: the loss or a weight has become infinite; the last state from before is kept.
    """
    spec_of(options.model)
    device = choose_device(options.device)
    state = options.out.with_suffix(".resume.pt")
    for path in (options.out, options.out.with_suffix(".csv"), state):
        check_destination(path)
    torch.manual_seed(options.seed)
    training, validation = (load_split(options.data, name, progress_bar) for name in ("train", "val"))
    classes = training.classes.names
    check_labels_of(training)
    check_labels_of(validation)
    if absent := describe_absent(training):
        tqdm.write(f"segviz: {absent}", file=sys.stderr)
    if options.scenes and classes != CAMVID.names:
        raise DataError(f"drawn scenes have CamVid's classes, but {options.data} has others; use --scenes 0")
    run = TrainingRun(options, training, device)
    tqdm.write(f"segviz: starting from {run.start.title}", file=sys.stderr)
    torch.backends.cudnn.benchmark = device.type == "cuda"  # all views have the same size
    log: list[LogRow] = []
    losses: list[Tensor] = []  # since the last row of the log
    step, before = run.restore(state, log, losses) if options.resume else (0, 0.0)
    saved = time.monotonic()
    started = saved - before
    whole = True  # whether the networks are those after `step` steps
    bar = progress_bar(total=options.steps, initial=step, desc=options.model, unit="step")
    try:
        while step < options.steps:
            minutes = (time.monotonic() - started) / 60
            progress = max(step / options.steps, minutes / options.budget if options.budget else 0)
            if progress >= 1:
                break
            rate = run.set_rate(options.rate * min(1, (progress + 1e-3) / WARM_UP_SHARE) * (1 - progress) ** POLY_POWER)
            with delay_interrupt():
                whole = False
                losses.append(run.step(run.sampler(step), step))
                whole, step = True, step + 1
            bar.update()
            validated = bool(options.validate) and step % options.validate == 0 and step < options.steps
            if step % STEPS_BETWEEN_ROWS == 0 or validated:
                loss = check_loss(run, losses, step, rate, state)
                score = None
                if validated:
                    pause = time.monotonic()
                    score = evaluate_samples(run.checkpoint_model.eval(), validation.samples, classes, "val").miou
                    run.set_mode()
                    started += time.monotonic() - pause
                log.append(LogRow(step, (time.monotonic() - started) / 60, rate, loss, score))
                losses.clear()
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                check_loss(run, losses, step, rate, state)
                run.save(state, step, time.monotonic() - started, log, losses)
                saved = time.monotonic()
        check_loss(run, losses, step, options.rate, state)
        bar.close()
        minutes = (time.monotonic() - started) / 60
        record = make_record(run.checkpoint_model.eval(), run.start, options, validation, step, minutes, device)
    except KeyboardInterrupt:
        if whole and step and run.is_finite():  # else a second Ctrl-C came in the middle of a step
            run.set_mode()
            run.save(state, step, time.monotonic() - started, log, losses)
        if state.is_file():
            bar.write(f"stopped in step {step}; the same command with --resume goes on from the last saved step")
        raise
    finally:
        bar.close()

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
