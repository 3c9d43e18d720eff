"""Ray as segviz uses it: a cluster of this machine's own, or one that runs already, and the replicas in it.

The process that calls this is in the cluster, and ends with it. Its variables are those of `ray_environment`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from segviz.cluster.board import RemoteBoard
from segviz.cluster.join import join_or_start
from segviz.cluster.replica import Replica
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.runtime.malloc import MALLOC_ENVIRONMENT
from segviz.runtime.ray_token import is_local
from segviz.version import VERSION

NAMESPACE = "segviz"
REPLICA_SETTINGS = ("SEGVIZ_MODELS", "SEGVIZ_CHECKPOINTS")  # the settings that replicas need
HUNG_AFTER = 3  # looks at a replica's health without an answer


@dataclass(frozen=True)
class Deployment:
    """The replicas, to call, the board beside them, and the name of both in the cluster."""

    handle: Any
    board: Any
    name: str


def connect(address: str, plan: ReplicaPlan, folder: str) -> None:
    """Join the cluster of an address, or start one of this process's own.

    Raises:
        ConnectionError, RuntimeError: see `join_or_start`.
    """
    variables = {name: os.environ[name] for name in REPLICA_SETTINGS if name in os.environ}
    options = {
        "namespace": NAMESPACE,
        "runtime_env": {"env_vars": {**variables, **MALLOC_ENVIRONMENT, "OMP_NUM_THREADS": str(plan.threads)}},
    }
    join_or_start(address, max(1, round(plan.cpus * plan.most + 0.5)), folder, options)


def deploy(plan: ReplicaPlan, name: str, worker: str) -> Deployment:
    """Start replicas of this process's own. They end with it, also where it is killed.

    Args:
        plan: how many, and what each may use.
        name: what their name in the cluster begins with.
        worker: see `Replica`.
    """
    serve.start(proxy_location="Disabled")  # replicas are called by handles; no HTTP server is needed
    for orphan in find_orphans(name):
        serve.delete(orphan)
    full_name = f"{name}-{uuid4().hex[:8]}"
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    board = RemoteBoard.options(name=full_name, scheduling_strategy=here).remote()
    ray.get(board.wait_for_news.remote(0))  # it is there, so other apps do not take the replicas for orphans
    replicas = serve.deployment(Replica).options(
        name="Replica",
        max_ongoing_requests=plan.slots,
        ray_actor_options={"num_cpus": plan.cpus, "num_gpus": plan.gpus},
        autoscaling_config={
            "min_replicas": plan.least,
            "max_replicas": plan.most,
            "initial_replicas": plan.least,
            "target_ongoing_requests": plan.busy,
            "upscale_delay_s": 2.0,
            "downscale_delay_s": 120.0,
        },
        health_check_period_s=plan.health_s,
        health_check_timeout_s=plan.health_s * HUNG_AFTER,
        graceful_shutdown_wait_loop_s=0.1,  # Serve's own 2 s are waited for even where nothing runs
        graceful_shutdown_timeout_s=2.0,
    )
    application = replicas.bind(plan, board, worker, VERSION)
    return Deployment(serve.run(application, name=full_name, route_prefix=None), board, full_name)


def find_orphans(name: str) -> Iterator[str]:
    """The names of replicas that `deploy` has started for apps that are gone, and had no time to end them.

    Args:
        name: what the names begin with; other applications in the cluster are left alone.
    """
    for found in list(serve.status().applications):
        if re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{8}}", found):
            try:
                ray.get_actor(found, namespace=NAMESPACE)
            except ValueError:
                yield found


def count_replicas(name: str) -> int:
    """Replicas that run and are well.

    Args:
        name: of the deployment.
    """
    found = serve.status().applications.get(name)
    if found is None or found.status == ApplicationStatus.NOT_STARTED:
        return 0
    states: Mapping[Any, int] = next(iter(found.deployments.values())).replica_states if found.deployments else {}
    return sum(count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING")


def disconnect(address: str, name: str) -> None:
    """End this process's part: its own cluster whole, or its replicas in another's."""
    if is_local(address):
        serve.shutdown()
    else:
        serve.delete(name)
    ray.shutdown()
