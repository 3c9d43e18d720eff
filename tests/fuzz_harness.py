"""The harness of tests/fuzz_run.py gives inputs to handlers, times each, watches its writes and counts the outcomes."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import re
import shutil
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import hypothesis
import torch
from hypothesis.strategies import SearchStrategy

LIMIT_S = 5.0
STUCK_S = 120.0
LONGEST = 700  # characters that a message may have
LINES = 8  # of a traceback that are reported
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir": 1,
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.link": 2,
    "os.truncate": 1,
}

Value = Any


@dataclass(frozen=True)
class Place:
    """Folders of one input: `given` holds it, only `chosen` may be written to; `around` holds both."""

    around: Path

    @property
    def given(self) -> Path:
        return self.around / "given"

    @property
    def chosen(self) -> Path:
        return self.around / "chosen"


class RefusedError(Exception):
    """The input was refused, as it should be; the message is what the user reads."""


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        make: makes a random input; or a Hypothesis strategy.
        sound: inputs that must be taken.
        handle: does what the app or the command line does with an input; returns, or raises one of `errors`.
        errors: exceptions that may be raised besides RefusedError.
        lay: puts an input where the handler finds it, and returns what to pass on.
        share: share of all inputs.
    """

    make: Callable[[random.Random], Value] | SearchStrategy[Any]
    sound: Callable[[], Sequence[Value]]
    handle: Callable[[Value, Place], None]
    errors: tuple[type[Exception], ...] = ()
    lay: Callable[[Value, Place], Value] = lambda value, place: value
    share: float = 1.0


@dataclass
class Tally:
    """Outcomes for the inputs of one kind."""

    inputs: int = 0
    refused: int = 0
    taken: int = 0
    slowest: float = 0.0
    unhandled: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return self.unhandled + self.hangs + self.outside


class Watch:
    """Notes what Python opens for writing, creates, renames or removes outside `inside`, while that is set."""

    def __init__(self) -> None:
        self.inside: Path | None = None
        self.found: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.inside is None or not (event == "open" or event in CHANGES):
            return
        count = CHANGES[event] if event != "open" else 1 if arguments[2] & WRITING else 0
        for path in arguments[:count]:
            if isinstance(path, str | bytes | os.PathLike) and not self._allowed(os.fsdecode(path)):
                self.found.append(f"{event} {os.fsdecode(path)!r}")

    def _allowed(self, path: str) -> bool:
        absolute, inside = os.path.realpath(path), str(self.inside)
        return absolute in (os.devnull, inside) or absolute.startswith(inside + os.sep)


@cache
def watch_writes() -> Watch:
    """The one watch of this process: an audit hook cannot be removed."""
    return Watch()


class Worker:
    """A thread that can be abandoned if it hangs."""

    def __init__(self) -> None:
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        torch.set_num_threads(1)  # the setting is per thread
        while True:
            self._tasks.get()()

    def run(self, task: Callable[[], None], limit: float) -> BaseException | None:
        """The exception that the task raised, or None; TimeoutError if it did not end."""
        done = threading.Event()
        raised: list[BaseException] = []

        def attempt() -> None:
            try:
                task()
            except BaseException as error:
                raised.append(error)
            done.set()

        self._tasks.put(attempt)
        return TimeoutError() if not done.wait(limit) else next(iter(raised), None)


class Harness:
    """Gives inputs to handlers, each in a folder of its own, and counts the outcomes."""

    def __init__(self, folder: Path, limit: float = LIMIT_S) -> None:
        self.folder, self.limit = folder.resolve(), limit
        self._worker = Worker()
        self._number = 0

    def run(self, name: str, kind: Kind, count: int, seed: int) -> Tally:
        """Give `count` inputs of a kind; the same seed gives the same inputs."""
        for value in kind.sound():  # these also load what is loaded once
            if error := self._try(kind, value, STUCK_S)[0]:
                raise AssertionError(f"{name}: {shorten(value)} was not accepted") from error
        watch_writes().found.clear()
        tally = Tally()
        if isinstance(kind.make, SearchStrategy):
            draw_values(kind.make, count, seed, lambda value: self._give(name, kind, value, tally))
        else:
            for number in range(count):
                self._give(name, kind, kind.make(random.Random(f"{seed} {name} {number}")), tally)
        return tally

    def _give(self, name: str, kind: Kind, value: Value, tally: Tally) -> None:
        error, seconds = self._try(kind, value, self.limit)
        prefix = f"{name} {tally.inputs}: {shorten(value)}\n  "
        tally.inputs += 1
        tally.slowest = max(tally.slowest, seconds)
        if seconds >= self.limit:
            tally.hangs.append(f"{prefix}not done after {seconds:.1f} s")
        if error is None:
            tally.taken += 1
        elif isinstance(error, (*kind.errors, RefusedError)):
            tally.refused += 1
            if fault := next(filter(None, map(describe_fault, list_lines(error))), ""):
                tally.unhandled.append(f"{prefix}{type(error).__name__} {fault}: {shorten(str(error))}")
        elif not isinstance(error, TimeoutError):
            lines = "".join(traceback.format_exception(error)).splitlines()
            tally.unhandled.append(prefix + "\n  ".join(lines[-LINES:]))
        if found := watch_writes().found:
            tally.outside.append(prefix + "; ".join(found[:3]))
            found.clear()

    def _try(self, kind: Kind, value: Value, limit: float) -> tuple[BaseException | None, float]:
        self._number += 1
        place, watch = Place(self.folder / str(self._number)), watch_writes()
        for folder in (place.given, place.chosen):
            folder.mkdir(parents=True)
        task = partial(run_handler, kind.handle, kind.lay(value, place), place)
        watch.inside, start = place.chosen, time.perf_counter()
        with contextlib.chdir(place.chosen):
            error = self._worker.run(task, limit)
        seconds, watch.inside = time.perf_counter() - start, None
        if isinstance(error, TimeoutError):
            self._worker = Worker()
        shutil.rmtree(place.around, ignore_errors=True)
        return error, seconds


def run_handler(handle: Callable[[Value, Place], None], value: Value, place: Place) -> None:
    """Run the handler; a warning counts as an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module="timm")
        handle(value, place)


def draw_values(strategy: SearchStrategy[Any], count: int, seed: int, use: Callable[[Value], None]) -> None:
    """Pass `count` values of a strategy to `use`."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def each(value: Value) -> None:
        use(value)

    each()


def list_lines(error: BaseException) -> list[str]:
    """The sentences of a refusal: one, or for a data set with several faults a heading and each fault."""
    faults = getattr(error, "faults", ())
    return [str(error).removesuffix("".join(f"\n  {fault}" for fault in faults)), *faults]


def describe_fault(message: str) -> str:
    """What is wrong with a refusal, which should be one sentence for people; "" if nothing is."""
    if not message.strip():
        return "says nothing"
    if len(message) > LONGEST:
        return f"has {len(message)} characters"
    return "is not one line of plain text" if UNPRINTABLE.search(message) else ""


def shorten(value: Value) -> str:
    """An input as text, shortened."""
    text = ascii(value)
    return text if len(text) < 400 else f"{text[:120]}... ({len(text)} characters)"
