"""How far a training is: its steps, time and log, and the saved state from which `--resume` continues."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from segviz.catalogue.curve import LogRow
from segviz.runtime.interrupts import delay_interrupt
from segviz.training.checks import check_loss
from segviz.training.options import poly_rate
from segviz.training.run import TrainingRun


class TrainingProgress:
    """How far a training is; at first not at all, or where the options resume an interrupted run.

    Args:
        run: the training.
        state: the file that `save` writes.

    Attributes:
        step: steps done.
        log: its rows so far.

    Raises:
        DataError: there is nothing to resume from, see `read_state`.
    """

    def __init__(self, run: TrainingRun, state: Path) -> None:
        self.run, self.state = run, state
        self.log: list[LogRow] = []
        self._losses: list[Tensor] = []  # since the last row of the log
        self.step, before = run.restore(state, self.log, self._losses) if run.options.resume else (0, 0.0)
        self._whole = True  # whether the networks are those after `step` steps
        self._kept = self.step  # the step of the saved state
        self._saved = time.monotonic()
        self._started = self._saved - before

    @property
    def minutes(self) -> float:
        """Time since the start, without pauses."""
        return (time.monotonic() - self._started) / 60

    @property
    def seconds_since_save(self) -> float:
        """Time since the state was saved, or since the start."""
        return time.monotonic() - self._saved

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the time of a block out of the training's."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - begun

    def take_step(self, share: float) -> None:
        """Take one optimizer step; Ctrl-C waits for its end, and a second one does not.

        Args:
            share: how much of the training is done, in [0, 1), for the learning rate.

        Raises:
            DataError, OutOfMemoryError: see `TrainingRun.step`.
        """
        run = self.run
        run.set_rate(poly_rate(run.options, share))
        with delay_interrupt() if run.processes.count == 1 else nullcontext():
            self._whole = False
            self._losses.append(run.step(run.sampler(self.step), self.step))
            self._whole, self.step = True, self.step + 1

    def check_loss(self) -> float:
        """The mean loss since the last row of the log; 0 directly behind it.

        Raises:
            DivergedError: it or a weight is not finite.
        """
        return check_loss(self.run, self._losses, self.step, self.state)

    def add_row(self, loss: float, score: float | None) -> None:
        """Add a row to the log, with the mean loss since the row before, and a mean IoU if it was measured."""
        self.log.append(LogRow(self.step, self.minutes, self.run.rate, loss, score))
        self._losses.clear()

    def end_log(self, score: float | None) -> None:
        """Add the final score to the log, in the row of the last step."""
        loss = float(torch.stack(self._losses).mean()) if self._losses else self.log.pop().loss
        self.add_row(loss, score)

    def save(self) -> None:
        """Save the state from which `--resume` continues."""
        self.run.save(self.state, self.step, self.minutes * 60, self.log, self._losses)
        self._kept, self._saved = self.step, time.monotonic()

    def save_if_sound(self) -> None:
        """Save what is not saved yet, unless a step was cut in its middle or the weights have overflowed."""
        if self._whole and self.step != self._kept and self.run.is_finite():
            self.save()
