"""The backend whose models run in a Ray cluster: the queue stays here, the computations go to replicas."""

from __future__ import annotations

from dataclasses import replace

from segviz.cluster.replica_plan import ReplicaPlan
from segviz.engine.answer import Status
from segviz.engine.backend import ComputationObserver, Health
from segviz.engine.capacity import Capacity
from segviz.engine.computation import Computation, Waiter
from segviz.engine.queue_backend import QueueBackend
from segviz.engine.ray_cluster.remote_runner import NAME, NO_MACHINE, RemoteRunner
from segviz.settings import Settings

SLOTS_ON_GPU = 2  # one prepares a picture or copies labels back while the other computes


class RayBackend(QueueBackend):
    """Runs requests on replicas of the runner.

    Queue, cache, deadlines, leases and turns are those of every backend. A worker here waits for a computation there.

    Args:
        runner: sends computations to the replicas.
        capacity: how much at once, over all replicas.
        observer: called after each computation, from a thread of this process.
    """

    look_again_s = 1.0  # nothing tells it when a replica starts or ends

    def __init__(
        self, runner: RemoteRunner, capacity: Capacity, observer: ComputationObserver = lambda *_: None
    ) -> None:
        super().__init__(runner, capacity, observer)
        self._remote = runner

    def health(self) -> Health:
        """See `Backend.health`; with the number of replicas."""
        return replace(super().health(), replicas=self._remote.count_replicas(), remote=True)

    def _status(self, computation: Computation, waiter: Waiter) -> Status:
        return replace(super()._status(computation, waiter), replicas=self._remote.count_replicas() or 0)

    def _lateness(self) -> str:
        return super()._lateness() if self._remote.count_replicas() else NO_MACHINE

    def _workers_now(self) -> int:
        """The slots of the replicas that run."""
        running = max(1, self._remote.count_replicas() or 0)
        return min(self.capacity.workers, running * self._remote.plan.slots)

    def _has_room(self) -> bool:
        """One more than the replicas' slots may be under way: so none is idle, and Ray sees that more are wanted."""
        return len(self._running) <= self._workers_now()

    def close(self) -> None:
        """Refuse what waits, and leave the cluster."""
        super().close()
        self._remote.close()


def make_ray_backend(limits: Settings, observer: ComputationObserver, name: str = NAME) -> RayBackend:
    """The backend of the operator's settings. The replicas begin to start at once.

    Args:
        limits: the settings.
        observer: called after each computation.
        name: what the replicas' names in the cluster begin with.
    """
    least, most = limits.replicas
    plan = ReplicaPlan(
        least=least,
        most=most,
        slots=limits.workers or (SLOTS_ON_GPU if limits.replica_gpus else max(1, int(limits.replica_cpus))),
        threads=limits.threads or 1,
        cpus=limits.replica_cpus,
        gpus=limits.replica_gpus,
        memory_mb=limits.memory_mb or ReplicaPlan.memory_mb,
        models_mb=limits.models_mb,
    )
    capacity = Capacity(
        workers=plan.most * plan.slots,
        threads=plan.threads,
        memory_mb=plan.most * plan.memory_mb,
        cache_mb=limits.cache_mb,
        queue=limits.queue,
        shares=plan.most * plan.slots,
    )
    runner = RemoteRunner(limits.ray_address, plan, name=name)
    runner.connect()
    return RayBackend(runner, capacity, observer)
