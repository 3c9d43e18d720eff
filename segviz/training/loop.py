"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from segviz.atomic_write import check_destination
from segviz.catalogue.checkpoint_file import write_checkpoint
from segviz.catalogue.curve import write_log
from segviz.catalogue.record import Record, from_json, to_json
from segviz.data.classes import CAMVID
from segviz.data.open_data_set import load_split
from segviz.data.sample import DataError, Split
from segviz.evaluation.evaluate import evaluate_samples
from segviz.prediction.predictor import choose_device
from segviz.runtime.malloc import hold_freed_memory
from segviz.runtime.progress import progress_bar
from segviz.training.checks import check_labels_of, check_options, describe_absent, join_data_errors
from segviz.training.make_record import make_record
from segviz.training.masks import describe_masks, fit_masks
from segviz.training.options import TrainOptions
from segviz.training.processes import Processes, join_processes
from segviz.training.progress import TrainingProgress
from segviz.training.resume import check_output, remove_state
from segviz.training.run import TrainingRun

STEPS_BETWEEN_ROWS = 25  # steps per row of the log
SECONDS_BETWEEN_SAVES = 30.0
TOLD_RECORD = "record"


@hold_freed_memory()
def train_model(options: TrainOptions) -> Record:
    """Train one network, write its checkpoint and its log, and return the record.

    Started by `torchrun`, each process has its part of every batch; the first one writes files and shows progress, and
    all return the record.

    Raises:
        DataError: the data cannot be used, the options do not go together, or the checkpoint exists already; raised
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
        DataError: they cannot be used; the message has the faults of both.
    """
    show = progress_bar if processes.is_first else None
    splits: list[Split] = []
    errors: list[DataError] = []
    for name in (options.split, "val"):
        if errors and name in options.split.split("+"):
            continue  # its faults are among those of the first
        try:
            read = load_split(options.data, name, show, class_map=options.class_map, skip_damaged=options.skip_damaged)
            check_labels_of(read)
            splits.append(read)
        except DataError as error:
            errors.append(error)
    if errors:
        raise join_data_errors(errors)
    training, validation = splits
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
    """Train from the first step, or the one where an interrupted run stopped, to the written checkpoint.

    Raises:
        DataError: there is nothing to resume from, or `--budget` ended before the first step.
        DivergedError: the loss or a weight has become infinite.
    """
    options, processes = run.options, run.processes
    reached = TrainingProgress(run, state)
    resumed = f"resuming at step {reached.step} of {options.steps}"
    processes.say(resumed if options.resume else f"starting from {run.start.describe()}")
    first = processes.is_first
    if first and not options.resume and (state.is_file() or options.out.is_file()):  # --overwrite
        with reached.pause():
            reached.save()  # from here on, --resume goes on with this run, not with the one before
    bar = progress_bar(total=options.steps, initial=reached.step, desc=options.model, unit="step", disable=not first)
    try:
        take_steps(reached, validation, bar)
        bar.close()
        record = score_training(reached, validation)
    except KeyboardInterrupt:
        if first:
            reached.save_if_sound()
            if state.is_file():
                going_on = "the same command with --resume goes on from the last saved step"
                bar.write(f"stopped in step {reached.step}; {going_on}")
        raise
    finally:
        bar.close()
    if first:
        write_results(reached, record)
    return record


def take_steps(reached: TrainingProgress, validation: Split, bar: Any) -> None:
    """Take the steps that are left; add rows to the log and save the state on the way."""
    run, options = reached.run, reached.run.options
    with run.processes.hold_signals() as interrupted:
        while (share := agree_on_share(reached, interrupted)) < 1:
            reached.take_step(share)
            bar.update()
            validated = bool(options.validate) and reached.step % options.validate == 0 and reached.step < options.steps
            if reached.step % STEPS_BETWEEN_ROWS == 0 or validated:
                log_step(reached, validation if validated else None)
                bar.set_postfix(loss=f"{reached.log[-1].loss:.3f}", refresh=False)
            if run.processes.is_first and reached.seconds_since_save > SECONDS_BETWEEN_SAVES:
                reached.check_loss()
                reached.save()
    reached.check_loss()


def agree_on_share(reached: TrainingProgress, interrupted: Callable[[], bool]) -> float:
    """How much of the training is done in all processes, by its steps or its budget; at 1 it ends.

    Raises:
        KeyboardInterrupt: a signal came to one of the processes.
    """
    options, processes = reached.run.options, reached.run.processes
    if reached.step >= options.steps:
        return 1.0
    minutes, stop = processes.agree(reached.minutes if processes.is_first else 0.0, interrupted())
    if stop:
        if processes.is_first and reached.step:
            reached.save()  # here, where a second signal waits, too
        raise KeyboardInterrupt
    return max(reached.step / options.steps, minutes / options.budget if options.budget else 0)


def log_step(reached: TrainingProgress, validation: Split | None) -> None:
    """Add a row to the log, with a score if there is a split to validate on."""
    loss, score = reached.check_loss(), None
    run = reached.run
    if validation is not None and run.processes.is_first:
        if run.processes.count > 1:  # signals wait for the scores, and torchrun does not wait for long
            reached.save()
        with reached.pause():
            model, classes = run.checkpoint_model.eval(), validation.classes.names
            score = evaluate_samples(model, validation.samples, classes, "val").miou
            run.set_mode()
    reached.add_row(loss, score)


def score_training(reached: TrainingProgress, validation: Split) -> Record:
    """The record of a training that took its steps: the first process makes it, and the others hear it.

    Raises:
        DataError: it took no step.
    """
    run, steps = reached.run, reached.run.options.steps
    if not reached.step:
        raise DataError("--budget ended before the first step; give it more time")
    if reached.step < steps:
        run.processes.say(f"--budget ended the training at step {reached.step} of {steps}")
    if not run.processes.is_first:
        return from_json(run.processes.hear(TOLD_RECORD))
    with reached.pause():
        return make_record(run, validation, reached.step, reached.minutes)


def write_results(reached: TrainingProgress, record: Record) -> None:
    """Write the checkpoint and the log, remove the state, and tell the other processes."""
    run = reached.run
    reached.end_log(record.val_miou)
    write_checkpoint(run.options.out, run.checkpoint_model, record)
    write_log(run.options.out.with_suffix(".csv"), reached.log)
    remove_state(reached.state)
    run.processes.tell(TOLD_RECORD, to_json(record))
