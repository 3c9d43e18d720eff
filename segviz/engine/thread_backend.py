"""The backend inside this process: worker threads, a fair queue, one computation for all who wait for the same."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.engine.capacity import MIB, Capacity
from segviz.engine.computation import AbandonedError, Job, Waiter
from segviz.engine.fair_queue import FairQueue
from segviz.engine.request import (
    Answer,
    BusyError,
    Computed,
    CrashError,
    DeadlineError,
    EngineError,
    Health,
    LeaseError,
    Request,
    Result,
    Standing,
    SupersededError,
    TooLargeError,
)
from segviz.engine.result_cache import Cache
from segviz.engine.resumable_map import run_all
from segviz.engine.runner import Runner
from segviz.prediction.predictor import Predictor
from segviz.runtime.malloc import trim

TRIES = 2  # a computation that crashes gets another chance, once
CRASHES, WITHIN_S = 3, 60.0  # so many within so many seconds, and the engine is not well
CLOSE_WITHIN_S = 10.0  # what close waits for computations that run
TIDY_EVERY_S = 2.0
OF_ONE_SESSION = 4  # a session may hold this part of the queue
COUNTED = ("computed", "reused", "unusable", "busy", "late", "left", "superseded", "too_large", "crashed")

logger = logging.getLogger("segviz.engine")


class EmbeddedBackend:
    """Runs requests on threads of this process.

    Threads start with the first request. What a running forward does cannot be stopped, so a cancelled prediction
    runs to its end and is kept; an attribution ends before the network's next layer.

    Args:
        runner: loads and runs the models.
        capacity: how much at once.
        computed: called after each computation, from its thread.
    """

    def __init__(self, runner: Runner, capacity: Capacity, computed: Computed = lambda *_: None) -> None:
        self._computed = computed
        self.capacity = capacity
        self._runner = runner
        self._budget = capacity.memory_mb * MIB
        self._changed = threading.Condition()
        self._queue: FairQueue[Job] = FairQueue()
        self._jobs: dict[str, Job] = {}  # queued and running
        self._running: set[Job] = set()
        self._cache = Cache(capacity.cache_mb * MIB)
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._tidied = 0.0
        self._counts = Counter(dict.fromkeys(COUNTED, 0))
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    # ---- what callers use -------------------------------------------------------------------------------

    def submit(self, request: Request) -> Answer:
        """See `Backend.submit`."""
        try:
            key = self.key(request)
            need = request.op.need(request.size, self._budget)
        except (ValueError, EngineError) as error:
            return self._refused(error)
        self._supersede(request, key)
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed; restart the app")
            job = self._jobs.get(key)
            kept = self._cache.get(key)
            self._counts["reused"] += kept is not None or job is not None
            if kept is None:
                job = job or self._new_job(key, request, need)
                return self._join(job, request)
        answer = Answer()
        answer.settle(kept)
        return answer

    def cancel(self, session: str, before_ticket: int) -> None:
        """See `Backend.cancel`."""
        self._drop(lambda job, waiter: waiter.session == session and waiter.ticket < before_ticket, None)

    def map(self, requests: Iterable[Request], *, checkpoint: Path) -> Iterator[tuple[Request, Answer]]:
        """See `Backend.map`."""
        at_once = min(2 * self.capacity.workers, self._share)
        return run_all(requests, checkpoint, submit=self.submit, key=self._key_or_nothing, at_once=at_once)

    def known(self, request: Request) -> Result | None:
        """See `Backend.known`."""
        try:
            key = self.key(request)
        except CheckpointError:
            return None
        with self._changed:
            return self._cache.get(key)

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
                models=self._runner.loaded,
                counts=dict(self._counts),
            )

    def close(self) -> None:
        """Refuse what waits, let what runs come to its end, and stop the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._drop(lambda job, waiter: True, EngineError("the app is being stopped; ask again once it is back"))
        end = time.monotonic() + CLOSE_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def predictor(self, model: str) -> Predictor:
        """The model itself, loaded once, for those who only read and copy it, as Captum's callers must.

        Raises:
            CheckpointError: the model cannot be loaded.
        """
        predictor: Predictor = self._runner.model(model)[1]
        return predictor

    def key(self, request: Request) -> str:
        """What a request's answer depends on.

        Raises:
            CheckpointError: its model cannot be read.
        """
        return request.key(self._runner.identity(request.model))

    # ---- joining and leaving ----------------------------------------------------------------------------

    @property
    def _share(self) -> int:
        return max(1, self.capacity.queue // OF_ONE_SESSION)

    def _key_or_nothing(self, request: Request) -> str:
        try:
            return self.key(request)
        except CheckpointError:
            return ""

    def _supersede(self, request: Request, key: str) -> None:
        """Drop what the session has in the queue of older tickets; the same question keeps its place."""

        def older(job: Job, waiter: Waiter) -> bool:
            earlier = waiter.session == request.session and waiter.ticket < request.ticket
            return earlier and not job.running and job.key != key

        self._drop(older, SupersededError("a newer question of the same session took this one's place"))

    def _refused(self, error: Exception) -> Answer:
        with self._changed:
            self._counts["too_large"] += isinstance(error, TooLargeError)
            self._counts["unusable"] += isinstance(error, ValueError)
        answer = Answer()
        answer.settle(error)
        return answer

    def _new_job(self, key: str, request: Request, need: int) -> Job:
        """A job in the books, if there is room; the lock is held."""
        if len(self._queue) >= self.capacity.queue or self._queue.length(request.session) >= self._share:
            self._counts["busy"] += 1
            raise BusyError(f"{len(self._queue)} questions are waiting already; try again in a moment")
        self._start_threads()
        self._jobs[key] = Job(key, request, need)
        return self._jobs[key]

    def _join(self, job: Job, request: Request) -> Answer:
        """Wait for a job; the lock is held."""
        now = time.monotonic()
        waiter = Waiter(request.session, request.ticket, now + request.deadline_s, request.lease_s, now)
        answer = Answer(lambda: self._standing(job, waiter))
        job.waiters[answer] = waiter
        if not job.running:
            self._queue.push(request.session, job)
        self._changed.notify_all()
        answer.add_done_callback(lambda _: self._leave(job, answer))
        return answer

    def _leave(self, job: Job, answer: Answer) -> bool:
        """Take a waiter off a job, and the job off the books where nobody is left; false where it was off already."""
        with self._changed:
            waiter = job.waiters.pop(answer, None)
            if waiter is None:
                return False
            if all(other.session != waiter.session for other in job.waiters.values()):
                self._queue.remove(waiter.session, job)
            if not job.waiters and not job.running:
                self._jobs.pop(job.key, None)
            return True

    def _drop(self, chosen: Callable[[Job, Waiter], bool], reason: EngineError | None) -> None:
        """Refuse or cancel the waiters that are chosen."""
        with self._changed:
            leaving = [
                answer
                for job in list(self._jobs.values())
                for answer, waiter in list(job.waiters.items())
                if chosen(job, waiter) and self._leave(job, answer)
            ]
            self._counts["late"] += len(leaving) * isinstance(reason, DeadlineError)
            self._counts["left"] += len(leaving) * isinstance(reason, LeaseError)
            self._counts["superseded"] += len(leaving) * isinstance(reason, SupersededError)
        for answer in leaving:
            if reason is None:
                answer.cancel()
            else:
                answer.settle(reason)

    def _standing(self, job: Job, waiter: Waiter) -> Standing:
        with self._changed:
            waiter.seen = time.monotonic()
            ran = waiter.seen - job.began if job.running else 0.0
            return Standing(self._queue.place(job), job.done, job.total, ran)

    # ---- threads ----------------------------------------------------------------------------------------

    def _start_threads(self) -> None:
        if not self._threads:
            targets = [self._watch, *[self._work] * self.capacity.workers]
            self._threads = [threading.Thread(target=one, name="segviz engine", daemon=True) for one in targets]
            for thread in self._threads:
                thread.start()

    def _watch(self) -> None:
        """Refuse what is late and what nobody looks after, also while every worker is busy."""
        while True:
            with self._changed:
                if self._closed:
                    return
                waiters = [waiter for job in self._jobs.values() for waiter in job.waiters.values()]
                ends = [min(waiter.deadline, waiter.lease) for waiter in waiters]
                now = time.monotonic()
                if min(ends, default=now + 1) > now:
                    self._changed.wait(min(ends) - now if ends else None)
                    continue
            late = DeadlineError("the answer did not come in time; try again when fewer people are here")
            self._drop(lambda job, waiter: waiter.deadline <= time.monotonic(), late)
            gone = LeaseError("nobody has looked how this question stands for a while; ask again")
            self._drop(lambda job, waiter: waiter.lease <= time.monotonic(), gone)

    def _work(self) -> None:
        torch.set_num_threads(self.capacity.threads)  # per thread: a new one would take all cores
        while (job := self._next()) is not None:
            self._finish(job, self._outcome(job))
            self._tidy()

    def _tidy(self) -> None:
        """Now and then, give back what the forwards have freed."""
        with self._changed:
            if time.monotonic() < self._tidied + TIDY_EVERY_S:
                return
            self._tidied = time.monotonic()
        trim()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._closed:
                job = self._queue.first(self._has_no_worker)
                if job is not None and self._fits(job):
                    self._queue.take(job)
                    job.running, job.began = True, time.monotonic()
                    self._running.add(job)
                    return job
                self._changed.wait()
        return None

    def _has_no_worker(self, job: Job) -> bool:
        """Whether a long one has to wait, so that one worker stays free for predictions."""
        most = max(1, self.capacity.workers - 1)
        return job.request.op.long and sum(other.request.op.long for other in self._running) >= most

    def _fits(self, job: Job) -> bool:
        """Whether the memory suffices beside what runs; until it does nobody overtakes, else it might never start."""
        return not self._running or job.need + sum(other.need for other in self._running) <= self._budget

    def _outcome(self, job: Job) -> Result | BaseException:
        for attempt in range(1, TRIES + 1):
            try:
                return self._runner.run(job.request, self._budget, lambda done, total: self._tell(job, done, total))
            except (ValueError, EngineError, AbandonedError) as error:
                return error.with_traceback(None)  # its frames would keep tensors alive as long as the answer
            except BaseException:  # a worker outlives whatever a computation does
                logger.exception("%s failed, attempt %d; request %s", job.request.model, attempt, job.key[:8])
                with self._changed:
                    self._counts["crashed"] += 1
                    self._crashes.append(time.monotonic())
        return CrashError(
            f"'{job.request.model}' failed {TRIES} times on this picture; the server's log has the cause under request "
            f"{job.key[:8]}"
        )

    def _tell(self, job: Job, done: int, total: int) -> None:
        """Keep a job's progress, and end it where nobody waits."""
        with self._changed:
            job.done, job.total = done, total
            if not job.waiters:
                if self._jobs.get(job.key) is job:
                    del self._jobs[job.key]  # who asks from now on starts anew
                raise AbandonedError

    def _finish(self, job: Job, outcome: Result | BaseException) -> None:
        with self._changed:
            self._running.discard(job)
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]
            self._counts["too_large"] += isinstance(outcome, TooLargeError)
            self._counts["unusable"] += isinstance(outcome, ValueError)
            if isinstance(outcome, Result):
                self._computed(job.request.model, type(job.request.op).__name__.lower(), outcome.seconds)
                self._counts["computed"] += 1
                if outcome.keep:
                    self._cache.put(job.request.key(outcome.model_sha), outcome)
            waiting = list(job.waiters)
            job.waiters.clear()
            self._changed.notify_all()
        for answer in waiting:
            answer.settle(outcome)
