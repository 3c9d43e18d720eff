"""What every backend shares: a fair queue, one computation for all equal requests, deadlines, leases and the cache."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine.answer import Answer, Result, Status
from segviz.engine.backend import ComputationObserver, Health
from segviz.engine.capacity import Capacity
from segviz.engine.computation import AbandonedError, Computation, LostError, Waiter
from segviz.engine.errors import (
    BusyError,
    CrashError,
    DeadlineError,
    EngineError,
    LeaseError,
    SupersededError,
    TooLargeError,
)
from segviz.engine.fair_queue import FairQueue
from segviz.engine.request import ReportProgress, Request
from segviz.engine.result_cache import ResultCache
from segviz.settings import MIB

ATTEMPTS = 2  # a computation that crashes is tried once more
CRASHES, WITHIN_S = 3, 60.0  # this many crashes within this many seconds make the engine unhealthy
CLOSE_WITHIN_S = 10.0  # how long close waits for running computations
SESSION_SHARE = 4  # a session may hold 1/SESSION_SHARE of the queue
LEFT = "dropped because the page stopped waiting; run it again"
OUTCOMES = ("computed", "reused", "unusable", "busy", "late", "left", "superseded", "too_large", "lost", "crashed")

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


class QueueBackend:
    """A queue in this process, and worker threads that hand each computation to a runner and wait for it.

    Threads start with the first request. A subclass says what a worker does before its first computation and after
    each.

    Args:
        runner: loads and runs the models.
        capacity: how much at once.
        observer: called after each computation, from its thread.
    """

    def __init__(
        self, runner: ComputationRunner, capacity: Capacity, observer: ComputationObserver = lambda *_: None
    ) -> None:
        self._observer = observer
        self.capacity = capacity
        self._runner = runner
        self._budget = capacity.budget
        self._changed = threading.Condition()
        self._queue: FairQueue[Computation] = FairQueue()
        self._computations: dict[str, Computation] = {}  # queued and running
        self._running: set[Computation] = set()
        self._cache = ResultCache(capacity.cache_mb * MIB)
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._counts = Counter(dict.fromkeys(OUTCOMES, 0))
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    # ---- the protocol -----------------------------------------------------------------------------------

    def submit(self, request: Request) -> Answer:
        """See `Backend.submit`."""
        try:
            key = self.key(request)
            need = request.op.need(request.size, self._budget)
        except (ValueError, EngineError) as error:
            return self._refuse(error)
        self._supersede(request, key)
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed; restart the app")
            computation = self._computations.get(key)
            result = self._cache.get(key)
            self._counts["reused"] += result is not None or computation is not None
            if result is None:
                return self._join(computation or self._enqueue(key, request, need), request)
        answer = Answer()
        answer.settle(result)
        return answer

    def find_cached(self, request: Request) -> Result | None:
        """See `Backend.find_cached`."""
        try:
            key = self.key(request)
        except CheckpointError:
            return None
        with self._changed:
            return self._cache.get(key)

    def leave(self, session: str) -> None:
        """See `Backend.leave`."""
        self._drop(lambda computation, waiter: waiter.session == session, LeaseError(LEFT))

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

    def key(self, request: Request) -> str:
        """SHA-256 of everything the request's answer depends on.

        Raises:
            CheckpointError: its model cannot be read.
        """
        return request.key(self._runner.identity(request.model))

    # ---- joining and leaving ----------------------------------------------------------------------------

    @property
    def _share(self) -> int:
        return max(1, self.capacity.queue // SESSION_SHARE)

    def _supersede(self, request: Request, key: str) -> None:
        """Drop the session's queued requests with older tickets; an equal request keeps its position."""

        def is_older(computation: Computation, waiter: Waiter) -> bool:
            earlier = waiter.session == request.session and waiter.ticket < request.ticket
            return earlier and not computation.running and computation.key != key

        self._drop(is_older, SupersededError("a newer request of the same session replaced this one"))

    def _refuse(self, error: Exception) -> Answer:
        with self._changed:
            self._counts["too_large"] += isinstance(error, TooLargeError)
            self._counts["unusable"] += isinstance(error, ValueError)
        answer = Answer()
        answer.settle(error)
        return answer

    def _enqueue(self, key: str, request: Request, need: int) -> Computation:
        """A new computation, if there is room; the lock is held."""
        if len(self._queue) >= self.capacity.queue or self._queue.length(request.session) >= self._share:
            self._counts["busy"] += 1
            raise BusyError(f"{len(self._queue)} requests are waiting already; try again in a moment")
        self._start_threads()
        self._computations[key] = Computation(key, request, need)
        return self._computations[key]

    def _join(self, computation: Computation, request: Request) -> Answer:
        """Wait for a computation; the lock is held."""
        now = time.monotonic()
        waiter = Waiter(request.session, request.ticket, now + request.deadline_s, request.lease_s, now)
        answer = Answer(lambda: self._status(computation, waiter))
        computation.waiters[answer] = waiter
        if not computation.running:
            self._queue.push(request.session, computation)
        self._changed.notify_all()
        answer.add_done_callback(lambda _: self._leave(computation, answer))
        return answer

    def _leave(self, computation: Computation, answer: Answer) -> bool:
        """Remove a waiter, and the computation if nobody else waits for it; false if the waiter was gone already."""
        with self._changed:
            waiter = computation.waiters.pop(answer, None)
            if waiter is None:
                return False
            if all(other.session != waiter.session for other in computation.waiters.values()):
                self._queue.remove(waiter.session, computation)
            if not computation.waiters and not computation.running:
                self._computations.pop(computation.key, None)
            return True

    def _drop(self, chosen: Callable[[Computation, Waiter], bool], reason: EngineError) -> None:
        """Refuse the chosen waiters."""
        with self._changed:
            leaving = [
                answer
                for computation in list(self._computations.values())
                for answer, waiter in list(computation.waiters.items())
                if chosen(computation, waiter) and self._leave(computation, answer)
            ]
            self._counts["late"] += len(leaving) * isinstance(reason, DeadlineError)
            self._counts["left"] += len(leaving) * isinstance(reason, LeaseError)
            self._counts["superseded"] += len(leaving) * isinstance(reason, SupersededError)
        for answer in leaving:
            answer.settle(reason)

    def _status(self, computation: Computation, waiter: Waiter) -> Status:
        with self._changed:
            waiter.renewed = time.monotonic()
            seconds = waiter.renewed - computation.began if computation.running else 0.0
            return Status(
                self._queue.position(computation), computation.done, computation.total, seconds, computation.attempt
            )

    # ---- threads ----------------------------------------------------------------------------------------

    def _start_threads(self) -> None:
        if not self._threads:
            targets = [self._watch, *[self._work] * self.capacity.workers]
            self._threads = [threading.Thread(target=target, name="segviz engine", daemon=True) for target in targets]
            for thread in self._threads:
                thread.start()

    def _watch(self) -> None:
        """Drop requests whose deadline or lease has passed, also while every worker is busy."""
        while True:
            with self._changed:
                if self._closed:
                    return
                waiters = [
                    waiter for computation in self._computations.values() for waiter in computation.waiters.values()
                ]
                ends = [min(waiter.deadline, waiter.lease_end) for waiter in waiters]
                now = time.monotonic()
                if min(ends, default=now + 1) > now:
                    self._changed.wait(min(ends) - now if ends else None)
                    continue
            late = DeadlineError(self._lateness())
            self._drop(lambda computation, waiter: waiter.deadline <= time.monotonic(), late)
            left = LeaseError(LEFT)
            self._drop(lambda computation, waiter: waiter.lease_end <= time.monotonic(), left)

    def _lateness(self) -> str:
        """Why an answer did not come in time, for its visitor."""
        return "the answer did not come in time; try again when fewer people are using the server"

    def _work(self) -> None:
        self._prepare_worker()
        while (computation := self._next()) is not None:
            self._finish(computation, self._outcome(computation))
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
                self._changed.wait()
        return None

    def _has_room(self) -> bool:
        """Whether what runs models could run one more; there are as many threads as it may ever run at once."""
        return True

    def _lacks_worker(self, computation: Computation) -> bool:
        """Whether a long computation has to wait, so that one worker stays free for predictions."""
        limit = max(1, self.capacity.workers - 1)
        return computation.request.op.long and sum(other.request.op.long for other in self._running) >= limit

    def _fits(self, computation: Computation) -> bool:
        """Whether memory suffices beside what runs. Until it does nobody overtakes, else it might never start."""
        return (
            not self._running
            or computation.need + sum(other.need for other in self._running) <= self.capacity.memory_mb * MIB
        )

    def _outcome(self, computation: Computation) -> Result | BaseException:
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
                logger.warning("%s was lost, attempt %d: %s; request %s", name, attempt, error, computation.key[:8])
                with self._changed:
                    self._counts["lost"] += 1
            except BaseException:  # a worker survives whatever a computation does
                name = computation.request.model
                logger.exception("%s failed, attempt %d; request %s", name, attempt, computation.key[:8])
                with self._changed:
                    self._counts["crashed"] += 1
                    self._crashes.append(time.monotonic())
        return CrashError(
            f"'{computation.request.model}' failed {ATTEMPTS} times on this picture; the server's log has the cause "
            f"under request {computation.key[:8]}"
        )

    def _is_wanted(self, computation: Computation) -> bool:
        """Whether somebody waits for a computation. If not, the next equal request starts anew."""
        with self._changed:
            if not computation.waiters and self._computations.get(computation.key) is computation:
                del self._computations[computation.key]
            return bool(computation.waiters)

    def _report(self, computation: Computation, done: int, total: int) -> None:
        """Note a computation's progress, and end it if nobody waits."""
        computation.done, computation.total = done, total
        if not self._is_wanted(computation):
            raise AbandonedError

    def _finish(self, computation: Computation, outcome: Result | BaseException) -> None:
        with self._changed:
            self._running.discard(computation)
            if self._computations.get(computation.key) is computation:
                del self._computations[computation.key]
            self._counts["too_large"] += isinstance(outcome, TooLargeError)
            self._counts["unusable"] += isinstance(outcome, ValueError)
            if isinstance(outcome, Result):
                request = computation.request
                self._observer(request.model, type(request.op).__name__.lower(), outcome.seconds)
                self._counts["computed"] += 1
                if outcome.keep:
                    self._cache.put(request.key(outcome.model_sha), outcome)
            waiting = list(computation.waiters)
            computation.waiters.clear()
            self._changed.notify_all()
        for answer in waiting:
            answer.settle(outcome)
