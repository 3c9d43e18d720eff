"""What is asked of the engine and what comes back: plain data, so that it means the same in another process."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from segviz.image import as_rgb

PREPROCESSING = "1"  # part of every key: another number when pictures reach the models in another way
DEADLINE_S = 60.0
Computed = Callable[[str, str, float], None]  # (model, op, seconds), after a computation
Tell = Callable[[int, int], None]  # (done, total); may raise to end the work


class EngineError(RuntimeError):
    """The engine did not answer; the message is for people, and the next request may well be answered."""


class BusyError(EngineError):
    """Too many are waiting; said at once."""


class DeadlineError(EngineError):
    """The answer did not come in time."""


class SupersededError(EngineError):
    """The same session has asked for something newer, and this was still in the queue."""


class LeaseError(EngineError):
    """Nobody has looked how the question stands for as long as its lease; who asked is taken to have gone."""


class TooLargeError(EngineError):
    """The picture needs more memory than there is, even at the smallest scale."""


class CrashError(EngineError):
    """The computation failed twice for no known reason; the log has it."""


@dataclass(frozen=True, eq=False)
class Made:
    """What an op made.

    Attributes:
        value: a frozen dataclass.
        notes: sentences on it for people.
        keep: whether it would be the same another time; not where memory ran out by surprise.
    """

    value: Any
    notes: tuple[str, ...] = ()
    keep: bool = True


@runtime_checkable
class Op(Protocol):
    """What to do with a model and a picture: a frozen dataclass whose fields are its parameters.

    Attributes:
        long: takes so long that one worker is kept free of its kind.
    """

    long: ClassVar[bool]

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes that running on a picture of this size needs; at most `budget`, which it keeps to.

        Raises:
            TooLargeError: it cannot be run within the budget.
        """

    def run(self, predictor: Any, image: np.ndarray, budget: int, tell: Tell) -> Made:
        """What the predictor makes of the picture.

        Raises:
            TooLargeError: the memory did not suffice.
        """


@dataclass(frozen=True, eq=False)
class Request:
    """One question.

    Attributes:
        model: a name of MODELS, never a path.
        image: the decoded picture; must not change while the answer is awaited.
        op: what to do with them.
        session: who asks. Sessions take turns.
        ticket: rises with each new question of a session; what it still has queued of lower tickets is dropped.
        deadline_s: how long the answer may take in all.
        lease_s: how long it may go without a look at `standing()` before the question is taken back.
    """

    model: str
    image: UInt8[np.ndarray, "height width 3"]
    op: Op
    session: str = ""
    ticket: int = 0
    deadline_s: float = DEADLINE_S
    lease_s: float = math.inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", as_rgb(self.image))

    @property
    def size(self) -> tuple[int, int]:
        """The picture's (height, width)."""
        return self.image.shape[0], self.image.shape[1]

    @cached_property
    def image_sha(self) -> str:
        """SHA-256 of the picture's size and all of its pixels."""
        return digest(self.image)

    def key(self, model_sha: str) -> str:
        """What the answer depends on, as one SHA-256: pixels, the model's file, preprocessing, parameters."""
        parts = (self.image_sha, self.model, model_sha, PREPROCESSING, told(self.op))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Result:
    """One answer; sessions share it, so its arrays are not to be written to.

    Attributes:
        value: what the op makes: a Prediction or an Attribution.
        notes: sentences for people, on a smaller scale or on values that are not finite.
        keep: whether it may be kept for the next who asks.
        model_sha: SHA-256 of the checkpoint that made it.
        seconds: how long the computation took.
    """

    value: Any
    notes: tuple[str, ...]
    keep: bool
    model_sha: str
    seconds: float


@dataclass(frozen=True)
class Standing:
    """Where a question stands: `place` 1 is the next to run, 0 runs or is answered; `done` of `total` steps.

    `seconds` is for how long it has run.
    """

    place: int = 0
    done: int = 0
    total: int = 1
    seconds: float = 0.0


class Answer(Future[Result]):
    """An answer to come. `cancel()` takes back this question alone; others who wait for the same get theirs.

    `standing()` tells where it stands, and renews the request's lease.
    """

    def __init__(self, standing: Callable[[], Standing] = Standing) -> None:
        super().__init__()
        self.standing = standing

    def settle(self, outcome: Result | BaseException) -> None:
        """Answer, unless it was cancelled meanwhile; the first outcome stands."""
        with suppress(InvalidStateError):
            if isinstance(outcome, BaseException):
                self.set_exception(outcome)
            else:
                self.set_result(outcome)


@dataclass(frozen=True)
class Health:
    """What the engine is doing, and what it did since it was made.

    Attributes:
        ok: fewer than three crashes within the last minute.
        workers: how many computations may run at once.
        running: how many run.
        queued: how many wait.
        queue_limit: how many may wait.
        cached: results that are kept.
        cache_bytes: what they hold.
        cache_limit: what they may hold, in bytes.
        models: how many are loaded.
        counts: `computed`, `reused` (answered without a computation of their own), `unusable` (a checkpoint or a
            question), `busy`, `late`, `left` (nobody looked any more), `superseded`, `too_large`, `crashed`, each since
            the start.
    """

    ok: bool
    workers: int
    running: int
    queued: int
    queue_limit: int
    cached: int
    cache_bytes: int
    cache_limit: int
    models: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class Backend(Protocol):
    """Who runs the models. tests/backend_contract.py says what each implementation must hold."""

    def submit(self, request: Request) -> Answer:
        """The answer to come; it is there at once where the result is kept.

        A result may be late, replaced by a newer question, too large or crashed: the answer then raises an
        EngineError, or the CheckpointError or AttributionError that says why it cannot be.

        Raises:
            BusyError: too many are waiting.
        """

    def cancel(self, session: str, before_ticket: int) -> None:
        """Cancel what a session asked for with lower tickets than this, queued or running."""

    def map(self, requests: Iterable[Request], *, checkpoint: Path) -> Iterator[tuple[Request, Answer]]:
        """Each request with its finished answer, in their order; a failure waits inside its own answer.

        A request is written to the checkpoint file once the caller asks for the next, so that a run which ended
        early goes on after the last one that was dealt with; failures are tried again.
        """

    def known(self, request: Request) -> Result | None:
        """The result where it is kept."""

    def health(self) -> Health:
        """How it does."""


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and all of its values."""
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def told(value: object) -> str:
    """Parameters in a form that differs where any of them does; arrays by their digest."""
    if isinstance(value, np.ndarray):
        return digest(value)
    if dataclasses.is_dataclass(value):
        parts = (f"{one.name}={told(getattr(value, one.name))}" for one in dataclasses.fields(value))
        return f"{type(value).__name__}({', '.join(parts)})"
    return repr(value)
