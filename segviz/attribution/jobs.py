"""Attributions in the background: one at a time for all visitors, in the order of asking, with cancel and a memory.

A `Job` answers one visitor's questions in a thread of its own, so that pages stay quick and can end it. Nothing is
shared between jobs but finished, read-only results.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from segviz.attribution.methods import METHODS
from segviz.attribution.run import attribute
from segviz.attribution.target import Attribution, AttributionError, Options, Target
from segviz.checkpoint import CheckpointError
from segviz.engine import digest, engine
from segviz.image import ImageError, working_size
from segviz.predict import Predictor

AT_ONCE = 1  # each needs all cores, and up to Options.memory_mib
CACHE_BYTES = 64 * 1024**2  # some 90 results
LOOK_EVERY = 0.1  # seconds between looks at whether a waiting visitor gave up
ABANDONED_AFTER = 20.0  # seconds without a visitor who asks how far it is
FIRST_GUESS = {True: 0.5, False: 0.2}  # seconds for an evaluation with gradients, and without: two CPU cores

State = Literal["waiting", "running", "done", "cancelled", "failed"]


@dataclass(frozen=True, eq=False)
class Question:
    """What `attribute` is asked; two of the same key have the same answer."""

    model: str
    image: UInt8[np.ndarray, "height width 3"]
    method: str
    target: Target
    options: Options

    @cached_property
    def key(self) -> Hashable:
        """Model, picture, method, target, and the options that the method heeds."""
        target, row = self.target, METHODS[self.method]
        mask = None if target.mask is None else digest(target.mask.astype(np.uint8))
        heeded = tuple(getattr(self.options, name) for name in row.heeds)
        return self.model, digest(self.image), self.method, target.class_index, target.pixel, mask, heeded

    @property
    def evaluations(self) -> int:
        """How many pictures the model has to see."""
        size = working_size(self.image.shape[0], self.image.shape[1])
        return METHODS[self.method].evaluations(self.options, size)


class Turns:
    """At most so many at once, first come first served; who waits may give up."""

    def __init__(self, at_once: int) -> None:
        self._free, self._queue, self._changed = at_once, deque[object](), threading.Condition()

    @contextmanager
    def turn(self, waiting: Callable[[int], None]) -> Iterator[None]:
        """Runs its body when it is one's turn; until then `waiting(number before)` is called, which may raise."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or not self._free:
                    waiting(self._queue.index(ticket) + 1)
                    self._changed.wait(LOOK_EVERY)
                self._free -= 1
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()


class Job:
    """One visitor's questions on their way. Any thread may read; `cancel` ends it before the network's next layer.

    Attributes:
        questions: in the order of answering.
        state: how it stands; the last three are final.
        trouble: what went wrong, in a sentence; empty otherwise.
        current: the question that is being answered.
        done: evaluations of it.
        total: all of its evaluations.
        ahead: how many computations come first, while it waits.
        answered: how many questions are.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        self.state: State = "waiting"
        self.trouble = ""
        self.current = self.questions[0]
        self.done, self.total, self.ahead, self.answered = 0, self.current.evaluations, 0, 0
        self._cancelled = threading.Event()
        self._seen = self._began = time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "cancelled", "failed")

    def asks(self, question: Question) -> bool:
        """Whether a question of this key is among its own."""
        return any(one.key == question.key for one in self.questions)

    def cancel(self) -> None:
        """End it; what is answered already stays known."""
        self._cancelled.set()

    def progress(self) -> tuple[float, str]:
        """How far it is, in [0, 1], and in words. Whoever asks is still interested: a job that nobody asks ends."""
        self._seen = time.monotonic()
        title = METHODS[self.current.method].title
        if self._cancelled.is_set():
            return self.done / self.total, f"{title}: ending …"
        if self.state == "waiting":
            return 0.0, f"{title}: waiting for another visitor's computation ({self.ahead} before this one) …"
        if self.done == 0 or self.total == 1:
            return 0.0, f"{title}: computing …"
        left = (self._seen - self._began) / self.done * (self.total - self.done)
        return self.done / self.total, f"{title}: step {self.done} of {self.total}, about {left:.0f} s left"

    def begin(self, question: Question) -> None:
        """Turn to a question."""
        self.current, self.state = question, "waiting"
        self.done, self.total = 0, question.evaluations

    def run(self) -> None:
        """The current question's turn has come."""
        self.state, self._began = "running", time.monotonic()

    def wait(self, ahead: int) -> None:
        """Others come first."""
        self.ahead = ahead
        self.check()

    def step(self, done: int, total: int) -> None:
        """`attribute` tells its progress."""
        self.done, self.total = done, total

    def check(self) -> None:
        """Ends the job if its visitor cancelled it or went away.

        Raises:
            CancelledError: so it is.
        """
        if self._cancelled.is_set() or time.monotonic() - self._seen > ABANDONED_AFTER:
            raise CancelledError


class Attributions:
    """Runs jobs and keeps what came out, bounded in bytes.

    Args:
        load: gives the predictor of a model's name; it is only read.
        at_once: how many are computed at the same time, for all visitors together.
        cache_bytes: how much the kept results may hold.
    """

    def __init__(
        self, load: Callable[[str], Predictor], at_once: int = AT_ONCE, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._load, self._turns, self._cache_bytes = load, Turns(at_once), cache_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Attribution] = OrderedDict()
        self._seconds: dict[tuple[str, str], float] = {}  # for an evaluation, as last measured

    def known(self, question: Question) -> Attribution | None:
        """The answer, if it was found before."""
        with self._lock:
            found = self._kept.get(question.key)
            if found is not None:
                self._kept.move_to_end(question.key)
            return found

    def start(self, questions: Sequence[Question]) -> Job:
        """A job that answers these questions, which begins now."""
        job = Job(questions)
        threading.Thread(target=self._answer, args=(job,), name="attribution", daemon=True).start()
        return job

    def expected_seconds(self, question: Question) -> float:
        """How long a question takes when nobody else computes: by the last one of its kind, else a guess."""
        gradients = question.method != "occlusion"
        each = self._seconds.get((question.model, question.method), FIRST_GUESS[gradients])
        return each * question.evaluations

    def _answer(self, job: Job) -> None:
        """The work of a job's thread."""
        try:
            for question in job.questions:
                job.begin(question)
                with self._turns.turn(job.wait):
                    job.run()
                    if self.known(question) is None:
                        self._keep(question, self._computed(question, job))
                job.answered += 1
            job.state = "done"
        except CancelledError:
            job.state = "cancelled"
        except (AttributionError, CheckpointError, ImageError) as error:
            job.trouble, job.state = f"{error}.", "failed"
        except Exception:
            logging.getLogger(__name__).exception("an attribution failed")
            job.trouble, job.state = (
                "It failed for a reason that the server's log tells; choose another method.",
                "failed",
            )

    def _computed(self, question: Question, job: Job) -> Attribution:
        """The answer from the model."""
        predictor, start = self._load(question.model), time.monotonic()
        answer = attribute(
            predictor,
            question.image,
            question.method,
            question.target,
            options=question.options,
            progress=job.step,
            check=job.check,
        )
        self._seconds[question.model, question.method] = (time.monotonic() - start) / question.evaluations
        return answer

    def _keep(self, question: Question, answer: Attribution) -> None:
        """Remember an answer; those asked for longest ago go until the rest fits."""
        with self._lock:
            self._kept[question.key] = answer
            total = sum(size_of(one) for one in self._kept.values())
            while total > self._cache_bytes and len(self._kept) > 1:
                total -= size_of(self._kept.popitem(last=False)[1])


def size_of(answer: Attribution) -> int:
    """Bytes that an attribution holds."""
    mask = answer.target.mask
    return answer.values.nbytes + (0 if mask is None else mask.nbytes)


ATTRIBUTIONS = Attributions(lambda model: engine().predictor(model))  # this process's own
