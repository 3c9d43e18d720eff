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
from segviz.batch.run import Step, Work, run
from segviz.image import ImageError, Rgb

LARGEST_ZIP = 2 * 1024**3  # bytes on disk; then the run ends, and what is done is kept
MOST_PIXELS = 16_000_000
Worker = Callable[[Source, Rgb], Work]

_one_picture = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass
class State:
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
    trouble: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    left: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Job:
    """A run over pictures, begun at once. Its ZIP lies on disk under no name, and goes with the job or the process.

    Args:
        sources: the pictures.
        work: makes a picture's files.
    """

    def __init__(self, sources: Sequence[Source], work: Worker) -> None:
        self.zip: io.BufferedIOBase = tempfile.TemporaryFile()  # noqa: SIM115  # it outlives every block; `close` closes it
        self.state = State(len(sources))
        self.close = weakref.finalize(self, leave, self.state, self.zip)
        self._thread = threading.Thread(target=work_off, args=(self.state, sources, work, self.zip), daemon=True)
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


def leave(state: State, target: io.BufferedIOBase) -> None:
    """Ends a job and removes its ZIP, at once or after the picture at hand."""
    state.stop.set()
    with state.lock:
        state.left = True
        if state.ended:
            target.close()


def work_off(state: State, sources: Sequence[Source], work: Worker, target: io.BufferedIOBase) -> None:
    """What the thread of a job does."""
    told: list[object] = []
    try:
        with Archive(target) as archive:
            steps = run(
                [named(state, one) for one in sources], fitting(work), archive.put, partial(ends, state, target)
            )
            while step := one_step(steps):
                told.append(noted(state, step))
            archive.put("summary.json", json.dumps(told, indent=2).encode())
    except OSError as error:
        state.trouble = f"the ZIP could not be written ({error.strerror or error})"
    except Exception:
        _log.exception("a run over pictures ended")
        state.trouble = "something unexpected happened; the server's log has it"
    with state.lock:
        state.ended = True
        if state.left:
            target.close()


def one_step(steps: Iterator[Step]) -> Step | None:
    """The next picture; all jobs together work on one at a time, as its arrays are large."""
    with _one_picture:
        return next(steps, None)


def ends(state: State, target: io.BufferedIOBase) -> bool:
    """Whether a run is over: it was cancelled, or its ZIP is large enough."""
    if target.tell() > LARGEST_ZIP:
        state.trouble = f"the ZIP has reached {LARGEST_ZIP / 1024**3:.0f} GB; send the other pictures in another run"
    return state.stop.is_set() or bool(state.trouble)


def named(state: State, source: Source) -> Source:
    """The source, whose name is told when its turn comes."""

    def opened() -> Rgb:
        state.name = source.text
        return source.open()

    return replace(source, open=opened)


def fitting(work: Worker) -> Worker:
    """The work, but for pictures that are too large for a server that others use too."""

    def one(source: Source, picture: Rgb) -> Work:
        height, width = picture.shape[:2]
        if height * width > MOST_PIXELS:
            most = MOST_PIXELS // 10**6
            raise ImageError(f"the picture has {width} x {height} pixels; at most {most} megapixels are taken here")
        return work(source, picture)

    return one


def noted(state: State, step: Step) -> object:
    """Takes a step in, and gives what the summary says of it."""
    state.done = step.number
    if step.problem is None:
        return step.told
    cause = str(step.problem) or "there is not enough memory for it"
    state.problems.append((step.source.text, cause))
    return {"image": step.source.text, "problem": cause}
