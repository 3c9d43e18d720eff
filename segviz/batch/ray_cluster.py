"""The cluster of a command's run: joined by its address, or started for as long as the run takes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import ray

from segviz.cluster.access import authenticate, forget_token, on_loopback
from segviz.cluster.join import join_or_start
from segviz.engine.capacity import cores
from segviz.runtime.interrupts import handle_signals, raise_interrupt
from segviz.runtime.ray_token import is_local
from segviz.text import count_words


class NoWorkersError(RuntimeError):
    """There is no cluster, or no room in it; the message names the cause and the cure."""


@dataclass(frozen=True)
class WorkerShare:
    """What each worker has.

    Attributes:
        cpus: cores that Ray reserves.
        gpus: GPUs that Ray reserves; a fraction shares one.
        threads: torch's threads.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    threads: int = 1

    @property
    def words(self) -> str:
        """The reserved resources in words."""
        cpus = count_words(float(self.cpus), "CPU core")
        return f"{cpus} and {count_words(float(self.gpus), 'GPU')}" if self.gpus else cpus


@contextmanager
def join_cluster(address: str, folder: str) -> Iterator[None]:
    """Join the cluster of an address, or start one on this machine that ends with the block.

    Args:
        address: of the cluster's head, or "local".
        folder: for the files of a local cluster; its path has to be short.

    Raises:
        NoWorkersError: there is no cluster at the address, or it does not let this process in.
    """
    try:
        authenticate(address)
    except ConnectionError as error:
        raise NoWorkersError(f"--ray {address}: {error}") from None
    try:
        with handle_signals(raise_interrupt):  # Ray sets a handler of its own, which must not outlive this
            start_or_join(address, folder)
        yield
    finally:
        if ray.is_initialized():
            ray.shutdown()
        forget_token()


def start_or_join(address: str, folder: str) -> None:
    """Connect this process.

    Args:
        address: of the cluster.
        folder: for the files of a local one.

    Raises:
        NoWorkersError: Ray refuses.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        with on_loopback() if is_local(address) else nullcontext():
            join_or_start(address, cores(), folder, {})
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        done = "started" if is_local(address) else f"joined at {address}"
        raise NoWorkersError(
            f"Ray could not be {done} ({lines[0]}); a command runs on a machine of the cluster, with the cluster's "
            "token and the same versions of Ray and Python; without an address, --ray starts a cluster on this machine"
        ) from error


def count_workers(share: WorkerShare, wanted: int | None, pictures: int) -> int:
    """How many workers to start: as many as are free, or as many as are wanted, but not more than there are pictures.

    Args:
        share: what each has.
        wanted: None for as many as fit.
        pictures: how many there are.

    Raises:
        NoWorkersError: not so many are free.
    """
    free = ray.available_resources()
    there = {name: free.get(name, 0.0) for name in ("CPU", "GPU")}
    fitting = count_fitting(share, there["CPU"], there["GPU"])
    if fitting < (wanted or 1):
        several = wanted is not None and wanted > 1
        asked = f"{wanted} workers with {share.words} each were" if several else f"a worker with {share.words} was"
        raise NoWorkersError(
            f"{asked} asked for, but the cluster has only {there['CPU']:g} CPU cores and {there['GPU']:g} GPUs free; "
            f"ask for less with {'--workers, ' if several else ''}SEGVIZ_REPLICA_CPUS or SEGVIZ_REPLICA_GPUS, or "
            "wait until other work has ended"
        )
    return max(1, min(wanted or fitting, pictures))


def count_fitting(share: WorkerShare, cpus: float, gpus: float) -> int:
    """How many workers fit into free cores and GPUs.

    Raises:
        NoWorkersError: a worker asks for nothing, so any number would fit.
    """
    parts = [free / each for free, each in ((cpus, share.cpus), (gpus, share.gpus)) if each > 0]
    if not parts:
        raise NoWorkersError("a worker needs a share of a machine; set SEGVIZ_REPLICA_CPUS or _GPUS above 0")
    return math.floor(min(parts) + 1e-6)


def has_idle_gpus(share: WorkerShare) -> bool:
    """Whether the cluster has GPUs that these workers leave alone."""
    return not share.gpus and ray.cluster_resources().get("GPU", 0) > 0
