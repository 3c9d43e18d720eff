"""The cluster of a command's run: joined by its address, or started for as long as the run takes."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from segviz.cluster.access import authenticate, forget_token, on_loopback
from segviz.engine.capacity import cores
from segviz.runtime.interrupts import handle_signals, raise_interrupt
from segviz.runtime.ray_token import LOCAL
from segviz.settings import MIB

CONNECT_S = 5.0
JOIN_WITHIN_S = 40.0  # else Ray tries for minutes
STORE_BYTES_LOCAL = 256 * MIB  # of a cluster on this machine: pictures on their way, and their results


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
        return f"{self.cpus:g} CPU cores" + (f" and {self.gpus:g} GPUs" if self.gpus else "")


@contextmanager
def join_cluster(address: str) -> Iterator[None]:
    """Join the cluster of an address, or start one on this machine that ends with the block.

    Raises:
        NoWorkersError: there is no cluster at the address, or it does not let this process in.
    """
    try:
        authenticate(address)
    except ConnectionError as error:
        raise NoWorkersError(f"--ray {address}: {error}") from None
    try:
        if address not in ("", LOCAL):
            check_reachable(address)
        with handle_signals(raise_interrupt):  # Ray sets a handler of its own, which must not outlive this
            start_or_join(address)
        yield
    finally:
        if ray.is_initialized():
            ray.shutdown()
        forget_token()


def start_or_join(address: str) -> None:
    """Connect this process.

    Raises:
        NoWorkersError: Ray refuses.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    options = {"log_to_driver": False, "configure_logging": False}
    is_local = address in ("", LOCAL)
    try:
        if is_local:
            with on_loopback():
                ray.init(
                    address=LOCAL,
                    num_cpus=cores(),
                    include_dashboard=False,
                    object_store_memory=STORE_BYTES_LOCAL,
                    **options,
                )
        else:
            call_within(JOIN_WITHIN_S, lambda: ray.init(address=address, **options))
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, AssertionError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise NoWorkersError(
            f"Ray could not be {'started' if is_local else f'joined at {address}'} ({lines[0]}); a command runs on a "
            "machine of the cluster, with the cluster's token and the same versions of Ray and Python"
        ) from error


def call_within(seconds: float, call: Callable[[], object]) -> None:
    """Call a function that may not return, in a thread that is left alone after so many seconds.

    Raises:
        TimeoutError: it did not return in time.
        Exception: what it raised.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    while thread.is_alive():
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {seconds:.0f} s")
        thread.join(0.1)  # so that Ctrl-C is heard
    if raised:
        raise raised[0]


def check_reachable(address: str) -> None:
    """Check that something listens at an address, for Ray itself tries for a minute.

    Raises:
        NoWorkersError: nothing does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise NoWorkersError(
            f"no Ray cluster answers at {address} ({getattr(error, 'strerror', None) or error}); check the address and "
            "the port of its head, or leave the address out to start a cluster on this machine"
        ) from None


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
        asked = f"{wanted} workers of {share.words} each were" if wanted and wanted > 1 else f"{share.words} were"
        raise NoWorkersError(
            f"{asked} asked, and the cluster has {there['CPU']:g} CPU cores and {there['GPU']:g} GPUs free; ask for "
            "less with --workers, SEGVIZ_REPLICA_CPUS or SEGVIZ_REPLICA_GPUS, or wait until other work has ended"
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
