"""Workers in a Ray cluster: each opens a model once, and works on the pictures that it is sent, one at a time."""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from segviz.batch.ordered_map import LostTask
from segviz.batch.ray_cluster import NoWorkersError, WorkerShare
from segviz.cluster.losses import name_loss
from segviz.cluster.picture_worker import NotReady, PictureWorker, WorkerJob, WorkerReport
from segviz.version import VERSION

WAITING = 2  # tasks of a worker: one that it works on, and one that is there when it has ended
AHEAD = 4  # outcomes for each worker that may be under way or wait for an earlier one
FIRST_WORKER_S = 300.0  # how long the first worker may take to start
MOST_LOST_STARTING = 3  # workers that die as they start; the next one is not replaced while others work
JOIN_S = 20.0  # how long the others are waited for; later ones join in


@dataclass(eq=False)
class HiredWorker:
    """One actor.

    Attributes:
        actor: its handle.
        opening: the reference of what it says once it is ready; None from then on.
        tasks: numbers and references of its tasks, in the order in which it does them.
        alone: whether its task is to have no other beside it.
    """

    actor: Any
    opening: Any
    tasks: deque[tuple[int, Any]] = field(default_factory=deque)
    alone: bool = False

    def has_room(self, alone: bool) -> bool:
        """Whether it may be sent a task."""
        return self.opening is None and (not self.tasks if alone else not self.alone and len(self.tasks) < WAITING)


class RayWorkers:
    """See `PictureWorkers`. A worker that dies is replaced, and its tasks come back as lost.

    Args:
        share: what each worker has.
        count: how many.
    """

    def __init__(self, share: WorkerShare, count: int) -> None:
        self._share, self._wanted = share, count
        self._class = ray.remote(PictureWorker).options(num_cpus=share.cpus, num_gpus=share.gpus, max_restarts=0)
        self._workers: list[HiredWorker] = []
        self._job: Any = None
        self._since, self._lost_starting = time.monotonic(), 0
        self._reports: list[WorkerReport] = []

    @property
    def count(self) -> int:
        """Workers that are ready."""
        return sum(one.opening is None for one in self._workers)

    def has_room(self, alone: bool) -> bool:
        """See `PictureWorkers.has_room`."""
        return any(one.has_room(alone) for one in self._workers)

    @property
    def ahead(self) -> int:
        """See `PictureWorkers.ahead`."""
        return AHEAD * self._wanted

    def open(self, job: WorkerJob) -> WorkerReport:
        """Have all workers open a job, and wait for them; the first call starts them.

        Raises:
            NoWorkersError: no worker started in time.
            Exception: what a worker raised as it opened the job.
        """
        self._job, self._reports = ray.put(pickle.dumps(job)), []
        self._since = time.monotonic()
        for one in self._workers:
            one.opening, one.tasks, one.alone = one.actor.open.remote(self._job), deque(), False
        self._workers += [self._hire() for _ in range(self._wanted - len(self._workers))]
        while any(one.opening is not None for one in self._workers):
            if self.count and time.monotonic() > self._since + JOIN_S:
                break
            self._note_ready(0.1)
            self._check_hope()
        return self._reports[0]

    def send(self, number: int, task: Any, alone: bool) -> None:
        """See `PictureWorkers.send`; the worker with the fewest tasks takes it."""
        one = min((one for one in self._workers if one.has_room(alone)), key=lambda one: len(one.tasks))
        one.tasks.append((number, one.actor.run.remote(task)))
        one.alone = alone

    def receive(self, timeout_s: float) -> Sequence[tuple[int, Any]]:
        """See `PictureWorkers.receive`.

        Raises:
            NoWorkersError: no worker is left, and none can be started.
            Exception: what a worker raised as it opened the job.
        """
        self._note_ready(0.0)
        heads = [one.tasks[0][1] for one in self._workers if one.tasks]
        if not heads:
            self._note_ready(timeout_s)
            self._check_hope()
            return ()
        ready, _ = ray.wait(heads, num_returns=1, timeout=timeout_s)
        if not ready:
            return ()
        found: list[tuple[int, Any]] = []
        for one in list(self._workers):
            found += self._take(one)
        return found

    def _take(self, one: HiredWorker) -> list[tuple[int, Any]]:
        """The outcomes that one worker has; all of its tasks, where it was lost."""
        found: list[tuple[int, Any]] = []
        while one.tasks and ray.wait([one.tasks[0][1]], timeout=0)[0]:
            number, reference = one.tasks[0]
            try:
                found.append((number, ray.get(reference)))
            except RayTaskError as error:  # not the work's own errors, which are outcomes
                found.append((number, RuntimeError(str(error).strip().splitlines()[-1])))
            except RayError as error:
                cause = name_loss(error)
                return found + [(lost, LostTask(lost == number, cause)) for lost, _ in self._replace(one)]
            one.tasks.popleft()
            one.alone = False
        return found

    def _hire(self) -> HiredWorker:
        actor = self._class.remote(self._share.threads)
        return HiredWorker(actor, actor.open.remote(self._job))

    def _replace(self, one: HiredWorker) -> Sequence[tuple[int, Any]]:
        """Start another in a lost worker's place, and return the lost one's tasks."""
        ray.kill(one.actor)
        self._workers[self._workers.index(one)] = self._hire()
        self._since = time.monotonic()
        return one.tasks

    def _note_ready(self, timeout_s: float) -> None:
        """Note the workers that have become ready; one that dies before that is replaced.

        Raises:
            Exception: what a worker raised as it opened the job.
        """
        opening = {one.opening: one for one in self._workers if one.opening is not None}
        if not opening:
            return
        ready, _ = ray.wait(list(opening), num_returns=1, timeout=timeout_s)
        for reference in ready:
            try:
                report = ray.get(reference)
            except RayTaskError as error:
                raise NoWorkersError(
                    f"a worker could not start ({str(error).strip().splitlines()[-1]}); install the same version of "
                    "segviz on every machine of the cluster"
                ) from None
            except RayError as error:
                self._lose_starting(opening[reference], error)
                continue
            if isinstance(report, NotReady):
                raise report.error
            if report.segviz != VERSION:
                raise NoWorkersError(
                    f"a worker has segviz {report.segviz}, and this command {VERSION}; install the same on all machines"
                )
            opening[reference].opening = None
            self._reports.append(report)

    def _lose_starting(self, one: HiredWorker, error: RayError) -> None:
        """Replace a worker that died as it started, as long as others work or the time has not passed.

        Raises:
            NoWorkersError: there is no hope.
        """
        since, self._lost_starting = self._since, self._lost_starting + 1
        if self._lost_starting <= MOST_LOST_STARTING or not self.count:
            self._replace(one)
        else:
            self._workers.remove(one)
        self._since = since
        self._check_hope(name_loss(error))

    def _check_hope(self, cause: str = "") -> None:
        """Give up where no worker is ready, and none became so in time.

        Raises:
            NoWorkersError: none did.
        """
        if not self.count and time.monotonic() > self._since + FIRST_WORKER_S:
            reason = f" ({cause})" if cause else ""
            raise NoWorkersError(
                f"no worker of {self._share.words} started within {FIRST_WORKER_S:.0f} s{reason}; see `ray status` on "
                "the cluster, or ask for less with SEGVIZ_REPLICA_CPUS or SEGVIZ_REPLICA_GPUS"
            )

    def close(self) -> None:
        """End all workers at once, whatever they do."""
        for one in self._workers:
            ray.kill(one.actor)
        self._workers.clear()
