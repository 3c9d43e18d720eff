"""What is asked of the engine: a model, a picture and an op. Plain data, so that another process can answer too."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from segviz.image import Rgb, as_rgb

PREPROCESSING = "1"  # part of every key; change it when pictures reach the models in another way
DEADLINE_S = 60.0
LONG_DEADLINE_S = 3600.0  # for long ops, whose requests have a lease to renew
ReportProgress = Callable[[int, int], None]  # (done, total); may raise to end the work


@dataclass(frozen=True, eq=False)
class OpResult:
    """The result of an op.

    Attributes:
        value: a frozen dataclass.
        notes: sentences about it for visitors.
        keep: whether another run would give the same; False where memory ran out unexpectedly.
        about: sentences for visitors about the network, which hold for all of its answers.
    """

    value: Any
    notes: tuple[str, ...] = ()
    keep: bool = True
    about: tuple[str, ...] = ()


@runtime_checkable
class Op(Protocol):
    """What to do with a model and a picture: a frozen dataclass whose fields are its parameters.

    Attributes:
        long: takes so long that one worker stays reserved for short ops.
        deadline_s: seconds until its answer must have come.
    """

    long: ClassVar[bool]
    deadline_s: ClassVar[float]

    def need(self, size: tuple[int, int], budget: int) -> int:
        """Bytes needed to run on a picture of (height, width); at most `budget`.

        Raises:
            TooLargeError: it cannot run within the budget.
        """

    def run(self, predictor: Any, image: np.ndarray, budget: int, report: ReportProgress) -> OpResult:
        """The predictor's result for the picture.

        Raises:
            TooLargeError: memory ran out.
        """


class HashedPicture(Protocol):
    """A picture whose digest was computed when it was made, so that no request has to hash it again."""

    @property
    def image(self) -> Rgb:
        """The pixels; nobody may write to them."""

    @property
    def digest(self) -> str:
        """`digest` of the pixels."""


@dataclass(frozen=True, eq=False)
class Request:
    """One request.

    Attributes:
        model: the name of a bundled model, or of an entry of the catalogue; never a path.
        image: the decoded picture; must not change until the answer has come.
        op: what to do with them.
        session: who asks. Sessions take turns.
        ticket: rises with each new request of a session; its queued requests with lower tickets are dropped.
        deadline_s: seconds until the answer must have come.
        lease_s: seconds that may pass between two calls of `Answer.status` before the request is dropped.
        known_sha: the picture's digest where the caller has it; "" to compute it.
    """

    model: str
    image: Rgb
    op: Op
    session: str = ""
    ticket: int = 0
    deadline_s: float = DEADLINE_S
    lease_s: float = math.inf
    known_sha: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", as_rgb(self.image))

    @property
    def size(self) -> tuple[int, int]:
        """The picture's (height, width)."""
        return self.image.shape[0], self.image.shape[1]

    @cached_property
    def image_sha(self) -> str:
        """SHA-256 of the picture's size and all of its pixels."""
        return self.known_sha or digest(self.image)

    def key(self, model_sha: str) -> str:
        """SHA-256 of everything the answer depends on: pixels, model file, preprocessing, parameters."""
        parts = (self.image_sha, self.model, model_sha, PREPROCESSING, parameter_key(self.op))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and all of its values."""
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def parameter_key(value: object) -> str:
    """Parameters as text that differs wherever any of them differs; arrays count by their digest."""
    if isinstance(value, np.ndarray):
        return digest(value)
    if dataclasses.is_dataclass(value):
        parts = (f"{field.name}={parameter_key(getattr(value, field.name))}" for field in dataclasses.fields(value))
        return f"{type(value).__name__}({', '.join(parts)})"
    return repr(value)
