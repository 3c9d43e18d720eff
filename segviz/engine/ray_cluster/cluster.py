"""Ray as segviz uses it: a cluster of this machine's own, or one that runs already, and the replicas in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus

from segviz.engine.ray_cluster.access import authenticate, forget_token, on_loopback
from segviz.engine.ray_cluster.board import RemoteBoard
from segviz.engine.ray_cluster.replica import Replica
from segviz.runtime.ray_token import LOCAL
from segviz.settings import MIB

APPLICATION = "segviz"
STORE_BYTES = 256 * MIB  # a local cluster's object store: pictures on their way, and checkpoints
HEALTH_PERIOD_S, HEALTH_TIMEOUT_S = 5.0, 15.0
REPLICA_SETTINGS = ("SEGVIZ_MODELS", "SEGVIZ_CHECKPOINTS")  # the settings that replicas need


@dataclass(frozen=True)
class ReplicaPlan:
    """How many replicas there are, and what each may use.

    Attributes:
        least, most: replicas; between them Ray follows the load.
        slots: computations of a replica at once.
        threads: torch's threads of each computation.
        cpus, gpus: what Ray reserves for a replica; a fraction of a GPU shares it.
        memory_mb: MiB that the computations of one replica may use.
        models_mb: MiB of weights that a replica keeps loaded.
        grace_s: see `Replica`.
    """

    least: int = 1
    most: int = 1
    slots: int = 1
    threads: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 2048
    models_mb: int = 2048
    grace_s: float = 30.0


@dataclass(frozen=True)
class Deployment:
    """The replicas, to call, and the board beside them."""

    handle: Any
    board: Any


def connect(address: str, plan: ReplicaPlan) -> None:
    """Join the cluster of an address, or start one of this process's own; nothing where this process is in one.

    Raises:
        ConnectionError: there is no cluster at the address, or no token for it.
    """
    if ray.is_initialized():
        return
    authenticate(address)
    variables = {name: os.environ[name] for name in REPLICA_SETTINGS if name in os.environ}
    options: dict[str, Any] = {
        "namespace": APPLICATION,
        "log_to_driver": False,
        "configure_logging": False,
        "runtime_env": {"env_vars": {**variables, "OMP_NUM_THREADS": str(plan.threads)}},
    }
    if address in ("", LOCAL):
        cores = max(1, round(plan.cpus * plan.most + 0.5))
        with on_loopback():
            ray.init(
                address=LOCAL,
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                **options,
            )
    else:
        ray.init(address=address, **options)


def deploy(plan: ReplicaPlan, name: str = APPLICATION) -> Deployment:
    """Start the replicas, or bring those that run to this plan.

    Args:
        plan: how many, and what each may use.
        name: the application's name in the cluster.
    """
    serve.start(proxy_location="Disabled")  # replicas are called by handles; no HTTP server is needed
    board = RemoteBoard.remote()
    replicas = serve.deployment(Replica).options(
        name="Replica",
        max_ongoing_requests=plan.slots,
        ray_actor_options={"num_cpus": plan.cpus, "num_gpus": plan.gpus},
        autoscaling_config={
            "min_replicas": plan.least,
            "max_replicas": plan.most,
            "initial_replicas": plan.least,
            "target_ongoing_requests": plan.slots,
            "upscale_delay_s": 2.0,
            "downscale_delay_s": 120.0,
        },
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        graceful_shutdown_timeout_s=2.0,
    )
    application = replicas.bind(plan.slots, plan.threads, plan.models_mb * MIB, board, plan.grace_s)
    handle = serve.run(application, name=name, route_prefix=None)
    return Deployment(handle, board)


def count_replicas(name: str = APPLICATION) -> int:
    """Replicas that run and are well; 0 where none is, or the cluster does not answer."""
    found = serve.status().applications.get(name)
    if found is None or found.status == ApplicationStatus.NOT_STARTED:
        return 0
    states: Mapping[Any, int] = next(iter(found.deployments.values())).replica_states if found.deployments else {}
    return sum(count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING")


def disconnect(address: str, name: str = APPLICATION) -> None:
    """End this process's part: its own cluster whole, or its replicas in another's."""
    if not ray.is_initialized():
        return
    serve.delete(name)
    if address in ("", LOCAL):
        serve.shutdown()
    ray.shutdown()
    forget_token()
