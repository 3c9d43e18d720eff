"""Who waits for which computation: a fair queue, one computation for all equal requests, deadlines, leases, the cache.

Nothing runs here; `queue_backend` has the threads that do.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from segviz.engine.answer import Answer, Result, Status
from segviz.engine.capacity import Capacity
from segviz.engine.computation import Computation, Waiter
from segviz.engine.errors import BusyError, DeadlineError, EngineError, LeaseError, SupersededError, TooLargeError
from segviz.engine.fair_queue import FairQueue
from segviz.engine.request import Request
from segviz.engine.result_cache import ResultCache
from segviz.settings import MIB

SESSION_SHARE = 4  # a session may hold 1/SESSION_SHARE of the queue
LEFT = "dropped because the page stopped waiting; run it again"
OUTCOMES = ("computed", "reused", "unusable", "busy", "late", "left", "superseded", "too_large", "lost", "crashed")


class WaitingRequests:
    """Requests that wait for computations, queued or running. Any thread may call it.

    Args:
        capacity: how much at once.
        identify: a digest of a model's files, by its name; it raises a ValueError where they cannot be read.
    """

    def __init__(self, capacity: Capacity, identify: Callable[[str], str]) -> None:
        self.capacity = capacity
        self._identify = identify
        self._budget = capacity.budget
        self._changed = threading.Condition()
        self._queue: FairQueue[Computation] = FairQueue()
        self._computations: dict[str, Computation] = {}  # queued and running
        self._cache = ResultCache(capacity.cache_mb * MIB)
        self._closed = False
        self._counts = Counter(dict.fromkeys(OUTCOMES, 0))

    # ---- the protocol -----------------------------------------------------------------------------------

    def submit(self, request: Request) -> Answer:
        """See `Backend.submit`.

        Raises:
            EngineError: the engine is closed.
        """
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
        except (ValueError, EngineError):  # `submit` says so
            return None
        with self._changed:
            return self._cache.get(key)

    def leave(self, session: str) -> None:
        """See `Backend.leave`."""
        self._drop(lambda computation, waiter: waiter.session == session, LeaseError(LEFT))

    def key(self, request: Request) -> str:
        """SHA-256 of everything the request's answer depends on.

        Raises:
            ValueError: its model cannot be read; a CheckpointError, or a CatalogueError of a network of one's own.
        """
        return request.key(self._identify(request.model))

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
                self._changed.notify_all()  # what stood behind it may fit
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

    # ---- deadlines and leases ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Drop requests whose deadline or lease has passed; the body of a thread that ends with `_closed`."""
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

    def _is_wanted(self, computation: Computation) -> bool:
        """Whether somebody waits for a computation. If not, the next equal request starts anew."""
        with self._changed:
            if not computation.waiters and self._computations.get(computation.key) is computation:
                del self._computations[computation.key]
            return bool(computation.waiters)
