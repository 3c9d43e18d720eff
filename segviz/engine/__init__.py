"""Who may run a model, and when: pages ask the engine, never a model.

`Request` in, `Answer` with a `Result` out; a `Backend` runs them. A computation runs once for everyone who waits for
the same; sessions take turns; results are kept by the SHA-256 of pixels, model file and parameters.
"""

from __future__ import annotations

import atexit
import itertools
import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from segviz.engine.capacity import Capacity, capacity_for, cores
from segviz.engine.ops import Attribute, Predict
from segviz.engine.request import (
    DEADLINE_S,
    Answer,
    Backend,
    BusyError,
    Computed,
    CrashError,
    DeadlineError,
    EngineError,
    Health,
    LeaseError,
    Made,
    Op,
    Request,
    Result,
    Standing,
    SupersededError,
    TooLargeError,
    digest,
)
from segviz.engine.runner import Runner
from segviz.engine.thread_backend import EmbeddedBackend
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import Predictor, choose_device, device_title
from segviz.settings import settings

if TYPE_CHECKING:
    from segviz.attribution import Attribution

__all__ = [
    "Answer",
    "Attribute",
    "Backend",
    "BusyError",
    "Capacity",
    "CrashError",
    "DeadlineError",
    "EmbeddedBackend",
    "Engine",
    "EngineError",
    "Health",
    "LeaseError",
    "Made",
    "Op",
    "Predict",
    "Request",
    "Result",
    "Runner",
    "Standing",
    "SupersededError",
    "TooLargeError",
    "capacity_for",
    "digest",
    "engine",
]

LONG_DEADLINE_S = 3600.0  # of ops that take long; who asks for one renews a lease
Picture = UInt8[np.ndarray, "height width 3"]


class Engine:
    """A backend, and short ways to ask it.

    Args:
        backend: who runs the models; this process by default.
    """

    def __init__(self, backend: Backend | None = None) -> None:
        self._observers: list[Computed] = []
        self.backend = backend or EmbeddedBackend(
            Runner(), capacity_for(choose_device("auto"), settings()), self._tell_observers
        )
        self._tickets = itertools.count(1)

    def ask(self, model: str, image: Picture, op: Op | None = None, session: str | None = None) -> Answer:
        """The answer to come to a session's newest question; what it still had in the queue is dropped.

        Args:
            model: a name of MODELS.
            image: the picture.
            op: what to do; a prediction by default.
            session: who asks; each thread is one where none is named.

        Raises:
            BusyError: too many are waiting.
        """
        return self.backend.submit(self._request(model, image, op or Predict(), session, next(self._tickets)))

    def ask_all(
        self, model: str, image: Picture, ops: Sequence[Op], session: str | None = None, lease_s: float = math.inf
    ) -> list[Answer]:
        """`ask` for several ops at once, none of which takes another's place; a BusyError waits inside its own answer.

        Args:
            model: a name of MODELS.
            image: the picture.
            ops: what to do.
            session: who asks; each thread is one where none is named.
            lease_s: how long an answer may go without a look at its `standing()` before the question is taken back.
        """
        ticket, answers = next(self._tickets), list[Answer]()
        for op in ops:
            try:
                answers.append(self.backend.submit(self._request(model, image, op, session, ticket, lease_s)))
            except BusyError as error:
                answers.append(Answer())
                answers[-1].settle(error)
        return answers

    def _request(
        self, model: str, image: Picture, op: Op, session: str | None, ticket: int, lease_s: float = math.inf
    ) -> Request:
        session = session or f"thread {threading.get_ident()}"
        return Request(model, image, op, session, ticket, LONG_DEADLINE_S if op.long else DEADLINE_S, lease_s)

    def predict(self, model: str, image: Picture, session: str | None = None) -> Prediction:
        """The model's prediction for a picture, waited for.

        Raises:
            CheckpointError: the model cannot be loaded.
            EngineError: it was too much for the engine; the message says what to do.
        """
        value = self.ask(model, image, session=session).result().value
        assert isinstance(value, Prediction)
        return value

    def attribute(self, model: str, image: Picture, op: Attribute, session: str | None = None) -> Attribution:
        """The attribution, waited for.

        Raises:
            AttributionError: it cannot be made.
            CheckpointError: the model cannot be loaded.
            EngineError: it was too much for the engine; the message says what to do.
        """
        value: Attribution = self.ask(model, image, op, session).result().value
        return value

    def knows(self, model: str, image: Picture, op: Op | None = None) -> bool:
        """Whether the answer is there without running the model."""
        return self.backend.known(Request(model, image, op or Predict())) is not None

    def predictor(self, model: str) -> Predictor:
        """The model itself, for those who only read and copy it; only where this process runs the models.

        Raises:
            CheckpointError: the model cannot be loaded.
            EngineError: the models run elsewhere.
        """
        if not isinstance(self.backend, EmbeddedBackend):
            raise EngineError("the models run in other processes; ask with an op instead")
        return self.backend.predictor(model)

    def observe(self, computed: Computed) -> None:
        """Have a function called after each computation of this process's own backend, from any thread."""
        self._observers.append(computed)

    def _tell_observers(self, model: str, op: str, seconds: float) -> None:
        for computed in self._observers:
            computed(model, op, seconds)

    def health(self) -> Health:
        """How the backend does."""
        return self.backend.health()

    @property
    def device(self) -> str:
        """The device that models run on, in words."""
        device, count = choose_device("auto"), cores()
        return f"CPU ({count} {'core' if count == 1 else 'cores'})" if device.type == "cpu" else device_title(device)


_engine: Engine | None = None
_engine_lock = threading.Lock()


def engine() -> Engine:
    """The one engine of this process."""
    global _engine
    with _engine_lock:
        if _engine is None:
            _engine = Engine()
            if isinstance(_engine.backend, EmbeddedBackend):
                atexit.register(_engine.backend.close)
        return _engine
