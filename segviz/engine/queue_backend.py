"""The threads of every backend: they take computations from the queue, and hand each to a runner."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import ClassVar, Protocol

from segviz.engine.answer import Result
from segviz.engine.backend import ComputationObserver, Health
from segviz.engine.capacity import Capacity
from segviz.engine.computation import AbandonedError, Computation, LostError
from segviz.engine.errors import CrashError, EngineError, TooLargeError
from segviz.engine.request import ReportProgress, Request
from segviz.engine.waiting import WaitingRequests
from segviz.settings import MIB

ATTEMPTS = 2  # a computation that crashes is tried once more
CRASHES, WITHIN_S = 3, 60.0  # this many crashes within this many seconds make the engine unhealthy
CLOSE_WITHIN_S = 10.0  # how long close waits for running computations

logger = logging.getLogger("segviz.engine")


class ComputationRunner(Protocol):
    """Runs a computation: here, or elsewhere. Any worker thread may call it."""

    @property
    def model_count(self) -> int:
        """How many models are loaded."""

    def identity(self, model: str) -> str:
        """A digest that changes with the model's files.

        Raises:
            ValueError: there is no such model, or its file cannot be read.
        """

    def run(self, request: Request, budget: int, report: ReportProgress) -> Result:
        """See `Runner.run`."""


class QueueBackend(WaitingRequests):
    """A queue in this process, and worker threads that hand each computation to a runner and wait for it.

    Threads start with the first request. A subclass says what a worker does before its first computation and after
    each.

    Attributes:
        look_again_s: seconds after which a worker that waits looks again; None where all that it waits for is told.

    Args:
        runner: loads and runs the models.
        capacity: how much at once.
        observer: called after each computation, from its thread; the answers do not wait for it.
    """

    look_again_s: ClassVar[float | None] = None

    def __init__(
        self, runner: ComputationRunner, capacity: Capacity, observer: ComputationObserver = lambda *_: None
    ) -> None:
        super().__init__(capacity, runner.identity)
        self._observer = observer
        self._runner = runner
        self._running: set[Computation] = set()
        self._threads: list[threading.Thread] = []
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    # ---- the protocol -----------------------------------------------------------------------------------

    def health(self) -> Health:
        """See `Backend.health`."""
        with self._changed:
            recent = [moment for moment in self._crashes if time.monotonic() - moment < WITHIN_S]
            return Health(
                ok=len(recent) < CRASHES and not self._closed,
                workers=self.capacity.workers,
                running=len(self._running),
                queued=len(self._queue),
                queue_limit=self.capacity.queue,
                cached=len(self._cache),
                cache_bytes=self._cache.bytes,
                cache_limit=self._cache.limit,
                models=self._runner.model_count,
                counts=dict(self._counts),
            )

    def close(self) -> None:
        """Refuse what waits, let running computations end, and stop the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._drop(lambda computation, waiter: True, EngineError("the app was stopped; try again once it runs again"))
        end = time.monotonic() + CLOSE_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    # ---- threads ----------------------------------------------------------------------------------------

    def _enqueue(self, key: str, request: Request, need: int) -> Computation:
        self._start_threads()
        return super()._enqueue(key, request, need)

    def _start_threads(self) -> None:
        """Start the threads, or those that could not be started the last time."""
        targets = [self._watch, *[self._work] * self.capacity.workers]
        for target in targets[len(self._threads) :]:
            thread = threading.Thread(target=target, name="segviz engine", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        self._prepare_worker()
        while (computation := self._next()) is not None:
            self._finish(computation, self._outcome(computation))
            del computation  # a worker that waits keeps no picture
            self._clean_up()

    def _prepare_worker(self) -> None:
        """What a worker's thread does first."""

    def _clean_up(self) -> None:
        """What a worker's thread does after each computation."""

    def _next(self) -> Computation | None:
        with self._changed:
            while not self._closed:
                computation = self._queue.first(self._lacks_worker) if self._has_room() else None
                if computation is not None and self._fits(computation):
                    self._queue.take(computation)
                    computation.running, computation.began = True, time.monotonic()
                    self._running.add(computation)
                    return computation
                self._changed.wait(self.look_again_s)
        return None

    def _has_room(self) -> bool:
        """Whether what runs models could run one more; there are as many threads as it may ever run at once."""
        return True

    def _workers_now(self) -> int:
        """Computations that may run at once now; at most the capacity's workers."""
        return self.capacity.workers

    def _lacks_worker(self, computation: Computation) -> bool:
        """Whether a long computation has to wait, so that one worker stays free for predictions."""
        limit = max(1, self._workers_now() - 1)
        return computation.request.op.long and sum(other.request.op.long for other in self._running) >= limit

    def _fits(self, computation: Computation) -> bool:
        """Whether memory suffices beside what runs. Until it does nobody overtakes, else it might never start."""
        return (
            not self._running
            or computation.need + sum(other.need for other in self._running) <= self.capacity.memory_mb * MIB
        )

    def _outcome(self, computation: Computation) -> Result | BaseException:
        for_memory = 0
        for attempt in range(1, ATTEMPTS + 1):
            computation.attempt = attempt
            if attempt > 1 and not self._is_wanted(computation):
                return AbandonedError()
            try:
                return self._runner.run(
                    computation.request, self._budget, lambda done, total: self._report(computation, done, total)
                )
            except (ValueError, EngineError, AbandonedError) as error:
                return error.with_traceback(None)  # its frames would keep tensors alive as long as the answer
            except LostError as error:
                name = computation.request.model
                for_memory += error.for_memory
                logger.warning("%s was lost, attempt %d: %s; request %s", name, attempt, error, computation.key[:8])
                with self._changed:
                    self._counts["lost"] += 1
            except BaseException:  # a worker survives whatever a computation does
                name = computation.request.model
                logger.exception("%s failed, attempt %d; request %s", name, attempt, computation.key[:8])
                with self._changed:
                    self._counts["crashed"] += 1
                    self._crashes.append(time.monotonic())
        if for_memory == ATTEMPTS:
            return CrashError(
                f"'{computation.request.model}' was ended {ATTEMPTS} times on this picture, because a machine of the "
                "cluster was short of memory; try a smaller picture, or again later"
            )
        return CrashError(
            f"'{computation.request.model}' failed {ATTEMPTS} times on this picture; the server's log has the cause "
            f"under request {computation.key[:8]}"
        )

    def _report(self, computation: Computation, done: int, total: int) -> None:
        """Note a computation's progress, and end it if nobody waits."""
        computation.done, computation.total = done, total
        if not self._is_wanted(computation):
            raise AbandonedError

    def _finish(self, computation: Computation, outcome: Result | BaseException) -> None:
        """Settle the answers; then tell the observer, for which they do not wait."""
        with self._changed:
            self._running.discard(computation)
            if self._computations.get(computation.key) is computation:
                del self._computations[computation.key]
            self._counts["too_large"] += isinstance(outcome, TooLargeError)
            self._counts["unusable"] += isinstance(outcome, ValueError)
            if isinstance(outcome, Result):
                self._counts["computed"] += 1
                if outcome.keep:
                    self._cache.put(computation.request.key(outcome.model_sha), outcome)
            waiting = list(computation.waiters)
            computation.waiters.clear()
            self._changed.notify_all()
        for answer in waiting:
            answer.settle(outcome)
        if isinstance(outcome, Result):
            self._tell_observer(computation.request, outcome.seconds)

    def _tell_observer(self, request: Request, seconds: float) -> None:
        try:
            self._observer(request.model, type(request.op).__name__.lower(), seconds)
        except Exception:  # a worker survives whatever an observer does
            logger.exception("an observer of the engine failed after a computation of %s", request.model)
