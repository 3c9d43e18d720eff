"""A run over many pictures in a thread of its own: a page follows or cancels it, and a ZIP is its result."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from segviz.batch.archive import Archive
from segviz.batch.inputs import Source
from segviz.batch.ordered_map import map_in_order
from segviz.batch.picture_slots import PictureSlots
from segviz.batch.run import PROBLEMS, PictureOutcome, PictureOutput, PutError, Step, make_outcome, write_outcomes
from segviz.batch.thread_workers import ThreadWorkers
from segviz.image import ImageError, Rgb

MAX_ZIP_BYTES = 2 * 1024**3  # the run ends there and keeps what is done
MAX_RUN_PIXELS = 16_000_000
SUMMARY = "summary.json"
Worker = Callable[[Source, Rgb], PictureOutput]

_slots = PictureSlots()
_log = logging.getLogger(__name__)


@dataclass
class RunState:
    """What the thread and the page share.

    Attributes:
        total: number of pictures in the run.
        done: number of pictures finished, failed ones included.
        name: the picture that was begun last.
        problems: (name, cause) of each picture that failed.
        summary: the entries of summary.json so far.
        ended: whether the thread is done.
        failure: why the run ended early; "" if it did not, or was cancelled.
        stop: set to end the run.
        abandoned: the owner is gone; the ZIP is closed when the thread is done.
        lock: guards `ended` and `abandoned`, one of which closes the ZIP.
    """

    total: int
    done: int = 0
    name: str = ""
    problems: list[tuple[str, str]] = field(default_factory=list)
    summary: list[object] = field(default_factory=list)
    ended: bool = False
    failure: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class RunPlan:
    """What a run does.

    Attributes:
        sources: the pictures.
        work: makes the files of one picture.
        at_once: pictures under way at once. Of several, a run that ends early waits for none.
        give_up: has `work` wait for nothing any more; called in the run's thread once it is over, where several are
            under way.
        begin: called before the first picture; after `give_up`, where a run goes on.
    """

    sources: Sequence[Source]
    work: Worker
    at_once: int = 1
    give_up: Callable[[], None] = lambda: None
    begin: Callable[[], None] = lambda: None


class BackgroundRun:
    """A run over pictures that starts at once. Its ZIP is an unnamed temporary file, deleted with this object.

    Args:
        plan: what it does.
        earlier: a run of the same plan that was cancelled: this one goes on with the rest, and takes its files over.
    """

    def __init__(self, plan: RunPlan, earlier: BackgroundRun | None = None) -> None:
        self.zip: io.BufferedIOBase = tempfile.TemporaryFile()  # noqa: SIM115  # `close` closes it
        self.state = RunState(len(plan.sources))
        if earlier is not None:
            before = earlier.state
            self.state.done, self.state.problems = before.done, list(before.problems)
            self.state.summary = list(before.summary)
        self.close = weakref.finalize(self, abandon, self.state, self.zip)
        self._plan = plan
        self._earlier = [] if earlier is None else [earlier]  # the thread empties it once it has the files
        arguments = (self.state, plan, self.zip, self._earlier)
        self._thread = threading.Thread(target=run_in_thread, args=arguments, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the run has not ended yet."""
        return not self.state.ended

    @property
    def can_go_on(self) -> bool:
        """Whether it was cancelled before its last picture."""
        return self.state.ended and not self.state.failure and self.state.done < self.state.total

    @property
    def at_once(self) -> int:
        """See `RunPlan.at_once`."""
        return self._plan.at_once

    @property
    def not_taken_over(self) -> BackgroundRun | None:
        """The earlier run, where this one has ended and could not copy what that one had finished."""
        return self._earlier[0] if self.state.ended and self._earlier else None

    def go_on(self) -> BackgroundRun:
        """A run over the pictures that are left; the ZIP of its end has all."""
        return BackgroundRun(self._plan, self)

    def cancel(self) -> None:
        """End, after the current picture where there is one at a time, and keep what is done."""
        self.state.stop.set()

    def wait(self, seconds: float) -> None:
        """Wait until the run has ended, for at most so many seconds."""
        self._thread.join(seconds)


def abandon(state: RunState, target: io.BufferedIOBase) -> None:
    """End a run and delete its ZIP, now or when its thread is done, which also gives up what is under way."""
    state.stop.set()
    with state.lock:
        state.abandoned = True
        if state.ended:
            target.close()


def run_in_thread(state: RunState, plan: RunPlan, target: io.BufferedIOBase, earlier: list[BackgroundRun]) -> None:
    """Process all pictures into the ZIP; the body of the run's thread."""
    try:
        with Archive(target) as archive:
            for one in earlier:
                take_over(one, archive)
            earlier.clear()
            rest = plan.sources[state.done :]
            first = state.done
            try:
                with closing(outcomes_of(state, plan, rest, target)) as outcomes:
                    for step in write_outcomes(rest, outcomes, archive.put):
                        state.summary.append(record_step(state, replace(step, number=first + step.number)))
            except PutError as error:
                state.failure = f"the files of {error.source.text} could not be written ({error.strerror})"
            archive.put(SUMMARY, json.dumps(state.summary, indent=2).encode())
    except OSError as error:
        state.failure = state.failure or f"the ZIP could not be written ({error.strerror or error})"
    except Exception:
        _log.exception("a run over pictures ended")
        state.failure = "an unexpected error occurred; see the server's log"
    with state.lock:
        state.ended = True
        if state.abandoned:
            target.close()


def take_over(earlier: BackgroundRun, archive: Archive) -> None:
    """Copy what an earlier run has finished, and delete its ZIP."""
    with zipfile.ZipFile(earlier.zip) as finished:
        for name in finished.namelist():
            if name != SUMMARY:
                archive.put(name, finished.read(name))
    earlier.close()


def outcomes_of(
    state: RunState, plan: RunPlan, sources: Sequence[Source], target: io.BufferedIOBase
) -> Generator[PictureOutcome, None, None]:
    """The outcomes of pictures in their order, until the run is over.

    Raises:
        BaseException: what a picture led to that is not the picture's own problem.
    """
    plan.begin()
    work, over = refuse_large(plan.work), partial(is_over, state, target)

    def one(source: Source) -> PictureOutcome | None:
        with _slots.take(plan.at_once):
            return None if state.stop.is_set() else make_outcome(work, announce(state, source))

    if plan.at_once == 1:
        for source in sources:
            if over() or (outcome := one(source)) is None:
                return
            yield outcome
        return
    workers = ThreadWorkers(one, plan.at_once)
    try:
        for outcome in map_in_order(workers, sources, lambda source: source, over):
            if isinstance(outcome, BaseException) and not isinstance(outcome, PROBLEMS):
                raise outcome
            yield outcome
    finally:
        workers.close()
        plan.give_up()


def is_over(state: RunState, target: io.BufferedIOBase) -> bool:
    """Whether a run is over: it was cancelled, or its ZIP has reached the limit."""
    if target.tell() > MAX_ZIP_BYTES:
        state.failure = f"the ZIP has reached {MAX_ZIP_BYTES / 1024**3:.0f} GB; send the other pictures in another run"
    return state.stop.is_set() or bool(state.failure)


def announce(state: RunState, source: Source) -> Source:
    """The same source, which sets `state.name` when it is opened."""

    def announce_and_open() -> Rgb:
        state.name = source.text
        return source.open()

    return replace(source, open=announce_and_open)


def refuse_large(work: Worker) -> Worker:
    """The same work, which refuses pictures that are too large for a shared server."""

    def one(source: Source, picture: Rgb) -> PictureOutput:
        height, width = picture.shape[:2]
        if height * width > MAX_RUN_PIXELS:
            most = MAX_RUN_PIXELS // 10**6
            raise ImageError(
                f"the picture has {width} x {height} pixels; the limit here is {most} megapixels, so scale it down"
            )
        return work(source, picture)

    return one


def record_step(state: RunState, step: Step) -> object:
    """Record a step in the state and return its entry in summary.json."""
    state.done = step.number
    if step.problem is None:
        return step.summary
    cause = str(step.problem) or "there is not enough memory for it"
    state.problems.append((step.source.text, cause))
    return {"image": step.source.text, "problem": cause}
