"""A run over many pictures in a thread of its own: a page follows or cancels it, and a ZIP is its result."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from segviz.batch.archive import Archive
from segviz.batch.inputs import Source
from segviz.batch.run import PictureOutput, PutError, Step, run_pictures
from segviz.image import ImageError, Rgb

MAX_ZIP_BYTES = 2 * 1024**3  # the run ends there and keeps what is done
MAX_RUN_PIXELS = 16_000_000
Worker = Callable[[Source, Rgb], PictureOutput]

_one_picture = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass
class RunState:
    """What the thread and the page share.

    Attributes:
        total: number of pictures in the run.
        done: number of pictures finished, failed ones included.
        name: the current picture.
        problems: (name, cause) of each picture that failed.
        ended: whether the thread is done.
        failure: why the run ended early; "" if it did not, or was cancelled.
        stop: set to end the run after the current picture.
        abandoned: the owner is gone; the ZIP is closed after the current picture.
        lock: guards `ended` and `abandoned`, one of which closes the ZIP.
    """

    total: int
    done: int = 0
    name: str = ""
    problems: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    failure: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class BackgroundRun:
    """A run over pictures that starts at once. Its ZIP is an unnamed temporary file, deleted with this object.

    Args:
        sources: the pictures.
        work: makes the files of one picture.
    """

    def __init__(self, sources: Sequence[Source], work: Worker) -> None:
        self.zip: io.BufferedIOBase = tempfile.TemporaryFile()  # noqa: SIM115  # `close` closes it
        self.state = RunState(len(sources))
        self.close = weakref.finalize(self, abandon, self.state, self.zip)
        self._thread = threading.Thread(target=run_in_thread, args=(self.state, sources, work, self.zip), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the run has not ended yet."""
        return not self.state.ended

    def cancel(self) -> None:
        """End after the current picture and keep what is done."""
        self.state.stop.set()

    def wait(self, seconds: float) -> None:
        """Wait until the run has ended, for at most so many seconds."""
        self._thread.join(seconds)


def abandon(state: RunState, target: io.BufferedIOBase) -> None:
    """End a run and delete its ZIP, now or after the current picture."""
    state.stop.set()
    with state.lock:
        state.abandoned = True
        if state.ended:
            target.close()


def run_in_thread(state: RunState, sources: Sequence[Source], work: Worker, target: io.BufferedIOBase) -> None:
    """Process all pictures into the ZIP; the body of the run's thread."""
    summary: list[object] = []
    try:
        with Archive(target) as archive:
            steps = run_pictures(
                [announce(state, one) for one in sources],
                refuse_large(work),
                archive.put,
                partial(is_over, state, target),
            )
            try:
                while step := next_step(steps):
                    summary.append(record_step(state, step))
            except PutError as error:
                state.failure = f"the files of {error.source.text} could not be written ({error.strerror})"
            archive.put("summary.json", json.dumps(summary, indent=2).encode())
    except OSError as error:
        state.failure = state.failure or f"the ZIP could not be written ({error.strerror or error})"
    except Exception:
        _log.exception("a run over pictures ended")
        state.failure = "an unexpected error occurred; see the server's log"
    with state.lock:
        state.ended = True
        if state.abandoned:
            target.close()


def next_step(steps: Iterator[Step]) -> Step | None:
    """Process the next picture; all runs share one lock, because a picture's arrays are large."""
    with _one_picture:
        return next(steps, None)


def is_over(state: RunState, target: io.BufferedIOBase) -> bool:
    """Whether a run is over: it was cancelled, or its ZIP reached the limit."""
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
            raise ImageError(f"the picture has {width} x {height} pixels; the limit here is {most} megapixels")
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
