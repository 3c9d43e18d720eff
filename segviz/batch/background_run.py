"""A run over many pictures beside a page: in a thread, followed and cancelled from outside, ending in a ZIP."""

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
from segviz.batch.run import PictureOutput, Step, run_pictures
from segviz.image import ImageError, Rgb

MAX_ZIP_BYTES = 2 * 1024**3  # bytes on disk; then the run ends, and what is done is kept
MAX_RUN_PIXELS = 16_000_000
Worker = Callable[[Source, Rgb], PictureOutput]

_one_picture = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass
class RunState:
    """What a thread and its job share.

    Attributes:
        total: of pictures.
        done: of pictures.
        name: of the picture at hand.
        problems: names and causes of pictures that failed.
        ended: whether nothing more happens.
        trouble: why the run ended early; "" where it did not, or was cancelled.
        stop: asks to end after the picture at hand.
        left: nobody is interested any more; the ZIP goes with the picture at hand.
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
    """A run over pictures, begun at once. Its ZIP lies on disk under no name, and goes with the job or the process.

    Args:
        sources: the pictures.
        work: makes a picture's files.
    """

    def __init__(self, sources: Sequence[Source], work: Worker) -> None:
        self.zip: io.BufferedIOBase = tempfile.TemporaryFile()  # noqa: SIM115  # it outlives every block; `close` closes it
        self.state = RunState(len(sources))
        self.close = weakref.finalize(self, abandon, self.state, self.zip)
        self._thread = threading.Thread(target=run_in_thread, args=(self.state, sources, work, self.zip), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return not self.state.ended

    def cancel(self) -> None:
        """End after the picture at hand; what is done by then is kept."""
        self.state.stop.set()

    def wait(self, seconds: float) -> None:
        """Return once it has ended, or the time is up."""
        self._thread.join(seconds)


def abandon(state: RunState, target: io.BufferedIOBase) -> None:
    """Ends a job and removes its ZIP, at once or after the picture at hand."""
    state.stop.set()
    with state.lock:
        state.abandoned = True
        if state.ended:
            target.close()


def run_in_thread(state: RunState, sources: Sequence[Source], work: Worker, target: io.BufferedIOBase) -> None:
    """What the thread of a job does."""
    told: list[object] = []
    try:
        with Archive(target) as archive:
            steps = run_pictures(
                [announce(state, one) for one in sources],
                refuse_large(work),
                archive.put,
                partial(is_over, state, target),
            )
            while step := next_step(steps):
                told.append(record_step(state, step))
            archive.put("summary.json", json.dumps(told, indent=2).encode())
    except OSError as error:
        state.failure = f"the ZIP could not be written ({error.strerror or error})"
    except Exception:
        _log.exception("a run over pictures ended")
        state.failure = "something unexpected happened; the server's log has it"
    with state.lock:
        state.ended = True
        if state.abandoned:
            target.close()


def next_step(steps: Iterator[Step]) -> Step | None:
    """The next picture; all jobs together work on one at a time, as its arrays are large."""
    with _one_picture:
        return next(steps, None)


def is_over(state: RunState, target: io.BufferedIOBase) -> bool:
    """Whether a run is over: it was cancelled, or its ZIP is large enough."""
    if target.tell() > MAX_ZIP_BYTES:
        state.failure = f"the ZIP has reached {MAX_ZIP_BYTES / 1024**3:.0f} GB; send the other pictures in another run"
    return state.stop.is_set() or bool(state.failure)


def announce(state: RunState, source: Source) -> Source:
    """The source, whose name is told when its turn comes."""

    def opened() -> Rgb:
        state.name = source.text
        return source.open()

    return replace(source, open=opened)


def refuse_large(work: Worker) -> Worker:
    """The work, but for pictures that are too large for a server that others use too."""

    def one(source: Source, picture: Rgb) -> PictureOutput:
        height, width = picture.shape[:2]
        if height * width > MAX_RUN_PIXELS:
            most = MAX_RUN_PIXELS // 10**6
            raise ImageError(f"the picture has {width} x {height} pixels; at most {most} megapixels are taken here")
        return work(source, picture)

    return one


def record_step(state: RunState, step: Step) -> object:
    """Takes a step in, and gives what the summary says of it."""
    state.done = step.number
    if step.problem is None:
        return step.summary
    cause = str(step.problem) or "there is not enough memory for it"
    state.problems.append((step.source.text, cause))
    return {"image": step.source.text, "problem": cause}
