"""What comes back from the engine: an answer that will hold a result or an error."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Result:
    """A finished computation's result. Sessions share it, so nobody may write to its arrays.

    Attributes:
        value: what the op returned, see `Op.run`.
        notes: sentences for visitors about a smaller scale or values that are not finite.
        keep: whether it may be cached for the next request.
        model_sha: the identity of the files of the model that computed it, see `Runner.identity`.
        seconds: duration of the computation.
        about: sentences for visitors about the network, as on what was assumed of published weights.
    """

    value: Any
    notes: tuple[str, ...]
    keep: bool
    model_sha: str
    seconds: float
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """How far a request has come.

    Attributes:
        position: position in the queue; 1 is next, 0 is running or finished.
        done: steps finished.
        total: steps in all.
        seconds: how long it has been running.
        attempt: 2 where it failed once and runs again.
        replicas: replicas that run, where models run in other processes; else None.
    """

    position: int = 0
    done: int = 0
    total: int = 1
    seconds: float = 0.0
    attempt: int = 1
    replicas: int | None = None


class Answer(Future[Result]):
    """An answer to come. `cancel()` withdraws this request alone; others who wait for the same result get theirs.

    `status()` says how far it has come, and renews the request's lease.
    """

    def __init__(self, status: Callable[[], Status] = Status) -> None:
        super().__init__()
        self.status = status

    def settle(self, outcome: Result | BaseException) -> None:
        """Set the result or error, unless the answer was cancelled; the first outcome stays."""
        with suppress(InvalidStateError):
            if isinstance(outcome, BaseException):
                self.set_exception(outcome)
            else:
                self.set_result(outcome)
