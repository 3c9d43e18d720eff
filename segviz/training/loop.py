"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import fields, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from platform import machine, processor, python_version

import torch
from torch import Tensor

from segviz.atomic_write import check_destination
from segviz.catalogue.checkpoint_file import write_checkpoint
from segviz.catalogue.curve import LogRow, write_log
from segviz.catalogue.record import SCENES, VAL, Record, from_json, to_json
from segviz.data.classes import CAMVID
from segviz.data.dataset import DataError, Split, load_split
from segviz.evaluation.evaluate import evaluate_samples, evaluate_scenes, scenes_title
from segviz.models.ablation import block_gammas
from segviz.models.networks.rows import NETWORKS
from segviz.models.registry import spec_of
from segviz.models.segmenter import BlockNetwork
from segviz.prediction.predictor import choose_device, device_title
from segviz.runtime.interrupts import delay_interrupt
from segviz.runtime.malloc import hold_freed_memory
from segviz.runtime.progress import progress_bar
from segviz.training.checks import check_labels_of, check_loss, check_options, describe_absent
from segviz.training.initialise import Start
from segviz.training.masks import describe_masks, fit_masks
from segviz.training.options import TrainOptions, poly_rate
from segviz.training.processes import Processes, join_processes
from segviz.training.recipes import format_setting
from segviz.training.resume import check_output, remove_state
from segviz.training.run import TrainingRun

STEPS_BETWEEN_ROWS = 25  # steps per row of the log
SECONDS_BETWEEN_SAVES = 30.0
TOLD_RECORD = "record"
RECORDED_ELSEWHERE = (
    "model", "backbone", "options", "output_stride", "data", "out", "init", "seed", "resume", "overwrite", "device",
    "command",
)  # fmt: skip


@hold_freed_memory()
def train_model(options: TrainOptions) -> Record:
    """Train one network, write its checkpoint and its log, and return the record.

    Started by `torchrun`, each process has its part of every batch; the first one writes files and shows progress, and
    all return the record.

    Raises:
        DataError: the data cannot be used, the options do not go together, or the checkpoint is there already; raised
            before the first step.
        CheckpointError: the initial weights do not fit.
        OSError: the checkpoint cannot be written; raised before the first step.
        DivergedError: the loss or a weight has become infinite; the last state from before is kept.
    """
    state = options.out.with_suffix(".resume.pt")
    with join_processes(choose_device(options.device)) as (processes, device):
        check_options(options, processes.count)
        for path in (options.out, options.out.with_suffix(".csv"), state):
            check_destination(path)
        check_output(options.out, state, options.resume, options.overwrite)
        options = fit_masks(options)
        if told := describe_masks(options):
            processes.say(told)
        torch.manual_seed(options.seed)
        training, validation = load_splits(options, processes)
        options = resolve_epochs(options, len(training.samples))
        run = TrainingRun(options, training, device, processes)
        torch.backends.cudnn.benchmark = device.type == "cuda"  # all views have the same size
        return run_training(run, validation, state)


def load_splits(options: TrainOptions, processes: Processes) -> tuple[Split, Split]:
    """Read the splits to train on and to score, and check their labels.

    Raises:
        DataError: they cannot be used.
    """
    show = progress_bar if processes.is_first else None
    training, validation = (
        load_split(options.data, name, show, class_map=options.class_map, skip_damaged=options.skip_damaged)
        for name in (options.split, "val")
    )
    check_labels_of(training)
    check_labels_of(validation)
    for note in dict.fromkeys((*training.notes, *validation.notes)):
        processes.say(note)
    if absent := describe_absent(training):
        processes.say(absent)
    if options.scenes and training.classes.names != CAMVID.names:
        raise DataError(f"drawn scenes have CamVid's classes, but {options.data} has others; use --scenes 0")
    return training, validation


def resolve_epochs(options: TrainOptions, pictures: int) -> TrainOptions:
    """The options with their epochs as steps, for a number of pictures."""
    if options.epochs is None:
        return options
    return replace(options, steps=max(1, math.ceil(options.epochs * pictures / options.batch)))


def run_training(run: TrainingRun, validation: Split, state: Path) -> Record:
    """The loop: from the first step, or the one where an interrupted run stopped, to the written checkpoint."""
    options, processes, device, classes = run.options, run.processes, run.device, validation.classes.names
    log: list[LogRow] = []
    losses: list[Tensor] = []  # since the last row of the log
    step, before = run.restore(state, log, losses) if options.resume else (0, 0.0)
    resumed = f"resuming at step {step} of {options.steps}"
    processes.say(resumed if options.resume else f"starting from {run.start.describe()}")
    kept = step  # the step of the saved state
    saved = time.monotonic()
    started = saved - before
    whole = True  # whether the networks are those after `step` steps
    first = processes.is_first
    bar = progress_bar(total=options.steps, initial=step, desc=options.model, unit="step", disable=not first)

    def save() -> None:
        nonlocal kept, saved
        run.save(state, step, time.monotonic() - started, log, losses)
        kept, saved = step, time.monotonic()

    if first and not options.resume and (state.is_file() or options.out.is_file()):  # --overwrite
        save()  # from here on, --resume goes on with this run, not with the one before
    try:
        with processes.hold_signals() as interrupted:
            while step < options.steps:
                minutes, stop = processes.agree((time.monotonic() - started) / 60 if first else 0.0, interrupted())
                if stop:
                    if first and step:
                        save()  # here, where a second signal waits, too
                    raise KeyboardInterrupt
                progress = max(step / options.steps, minutes / options.budget if options.budget else 0)
                if progress >= 1:
                    break
                rate = run.set_rate(poly_rate(options, progress))
                with delay_interrupt() if processes.count == 1 else nullcontext():
                    whole = False
                    losses.append(run.step(run.sampler(step), step))
                    whole, step = True, step + 1
                bar.update()
                validated = bool(options.validate) and step % options.validate == 0 and step < options.steps
                if step % STEPS_BETWEEN_ROWS == 0 or validated:
                    loss = check_loss(run, losses, step, rate, state)
                    score = None
                    if validated and first:
                        if processes.count > 1:  # signals wait for the scores, and torchrun does not wait for long
                            save()
                        pause = time.monotonic()
                        score = evaluate_samples(run.checkpoint_model.eval(), validation.samples, classes, "val").miou
                        run.set_mode()
                        started += time.monotonic() - pause
                    log.append(LogRow(step, (time.monotonic() - started) / 60, rate, loss, score))
                    losses.clear()
                    bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                if first and time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    check_loss(run, losses, step, rate, state)
                    save()
        check_loss(run, losses, step, options.rate, state)
        bar.close()
        if step < options.steps:
            processes.say(f"--budget ended the training at step {step} of {options.steps}")
        minutes = (time.monotonic() - started) / 60
        if not first:
            return from_json(processes.hear(TOLD_RECORD))
        record = make_record(run.checkpoint_model.eval(), run.start, options, validation, step, minutes, device)
    except KeyboardInterrupt:
        if first and whole and step != kept and run.is_finite():  # else a second Ctrl-C came in the middle of a step
            run.set_mode()
            save()
        if first and state.is_file():
            bar.write(f"stopped in step {step}; the same command with --resume goes on from the last saved step")
        raise
    finally:
        bar.close()

    loss = float(torch.stack(losses).mean()) if losses else log.pop().loss
    log.append(LogRow(step, minutes, 0.0, loss, record.val_miou))
    write_checkpoint(options.out, run.checkpoint_model, record)
    write_log(options.out.with_suffix(".csv"), log)
    remove_state(state)
    processes.tell(TOLD_RECORD, to_json(record))
    return record


def make_record(
    model: BlockNetwork,
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
    row = NETWORKS[options.model] if options.model in NETWORKS else spec_of(options.model)
    return Record(
        model=options.model,
        classes=classes,
        backbone=options.backbone or row.backbone,
        output_stride=model.output_stride,
        command=options.command,
        data=f"{options.data.name} {options.split}"
        + (f" and {scenes_title(options.scenes)} ({options.scene_share:.0%} of each batch)" if options.scenes else ""),
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
