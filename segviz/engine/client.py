"""The engine as pages see it: a backend, and short ways to ask it."""

from __future__ import annotations

import atexit
import itertools
import math
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segviz.engine.answer import Answer
from segviz.engine.backend import Backend, ComputationObserver, Health
from segviz.engine.capacity import capacity_for, cores
from segviz.engine.errors import BusyError
from segviz.engine.ops import Predict
from segviz.engine.queue_backend import QueueBackend
from segviz.engine.ray_cluster.ray_backend import make_ray_backend
from segviz.engine.request import HashedPicture, Op, Request
from segviz.engine.runner import Runner
from segviz.engine.thread_backend import ThreadBackend
from segviz.image import Rgb
from segviz.prediction.prediction import Prediction
from segviz.prediction.predictor import choose_device, device_title
from segviz.settings import MIB, Settings, settings
from segviz.text import count_words


class Engine:
    """A backend, and short ways to ask it.

    Args:
        backend: runs the models; threads of this process by default.
    """

    def __init__(self, backend: Backend | None = None) -> None:
        self._observers: list[ComputationObserver] = []
        self.backend = backend or make_backend(settings(), self._notify_observers)
        self._tickets = itertools.count(1)

    def ask(
        self,
        model: str,
        image: Rgb | HashedPicture,
        op: Op | None = None,
        session: str | None = None,
        ticket: int | None = None,
    ) -> Answer:
        """The answer to a session's newest request; older ones that it still has in the queue are dropped.

        Args:
            model: the name of a bundled model, or of an entry of the catalogue.
            image: the picture; where it carries its digest, it is not hashed again.
            op: what to do; a prediction by default.
            session: who asks; by default each thread is a session of its own.
            ticket: of `take_ticket`; requests with one ticket drop none of each other.

        Raises:
            BusyError: too many requests are waiting.
        """
        ticket = next(self._tickets) if ticket is None else ticket
        return self.backend.submit(self._request(model, image, op or Predict(), session, ticket))

    def take_ticket(self) -> int:
        """A ticket for requests of one session that belong together."""
        return next(self._tickets)

    def ask_all(
        self,
        model: str,
        image: Rgb | HashedPicture,
        ops: Sequence[Op],
        session: str | None = None,
        lease_s: float = math.inf,
    ) -> list[Answer]:
        """As `ask` for several ops at once, none of which supersedes another; a BusyError is raised by its own answer.

        Args:
            model: the name of a bundled model, or of an entry of the catalogue.
            image: the picture.
            ops: what to do.
            session: who asks; by default each thread is a session of its own.
            lease_s: seconds that may pass between two calls of an answer's `status()` before its request is dropped.
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
        self,
        model: str,
        image: Rgb | HashedPicture,
        op: Op,
        session: str | None,
        ticket: int,
        lease_s: float = math.inf,
    ) -> Request:
        session = session or f"thread {threading.get_ident()}"
        if getattr(image, "own_size", False) and hasattr(op, "own_size"):
            op = replace(op, own_size=True)  # type: ignore[type-var]  # every op is a frozen dataclass
        pixels, sha = (image, "") if isinstance(image, np.ndarray) else (image.image, image.digest)
        return Request(model, pixels, op, session, ticket, op.deadline_s, lease_s, sha)

    def predict(self, model: str, image: Rgb | HashedPicture, session: str | None = None) -> Prediction:
        """The model's prediction for a picture; waits for it.

        Raises:
            CheckpointError: the model cannot be loaded.
            EngineError: the engine could not answer; the message says what to do.
        """
        value = self.ask(model, image, session=session).result().value
        assert isinstance(value, Prediction)
        return value

    def is_cached(self, model: str, image: Rgb | HashedPicture, op: Op | None = None) -> bool:
        """Whether the answer is available without running the model."""
        return self.backend.find_cached(self._request(model, image, op or Predict(), None, 0)) is not None

    def leave(self, session: str) -> None:
        """Drop a session's requests, because nobody sees its page any more; it may ask again."""
        self.backend.leave(session)

    def observe(self, observer: ComputationObserver) -> None:
        """Call `observer` after each computation of the engine's own backend, from any thread."""
        self._observers.append(observer)

    def _notify_observers(self, model: str, op: str, seconds: float) -> None:
        for observer in self._observers:
            observer(model, op, seconds)

    def health(self) -> Health:
        """What the backend is doing."""
        return self.backend.health()

    @property
    def device(self) -> str:
        """The device that models run on, in words."""
        health = self.backend.health()
        if health.replicas:
            return f"{count_words(health.replicas, 'replica')} in a Ray cluster"
        if health.remote:
            return "a Ray cluster, where no replica runs yet"
        device, count = choose_device("auto"), cores()
        return f"CPU ({count_words(count, 'core')})" if device.type == "cpu" else device_title(device)


def make_backend(limits: Settings, observer: ComputationObserver) -> QueueBackend:
    """The backend that the operator has chosen; `settings` has checked that it can be used."""
    if limits.backend == "threads":
        runner = Runner(model_bytes=limits.models_mb * MIB)
        return ThreadBackend(runner, capacity_for(choose_device("auto"), limits), observer)
    return make_ray_backend(limits, observer)


_engine: Engine | None = None
_engine_lock = threading.Lock()


def engine() -> Engine:
    """The one engine of this process."""
    global _engine
    with _engine_lock:
        if _engine is None:
            _engine = Engine()
            if isinstance(_engine.backend, QueueBackend):
                atexit.register(_engine.backend.close)
        return _engine
