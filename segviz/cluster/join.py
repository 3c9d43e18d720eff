"""Join a Ray cluster, or start one: within a bounded time, and with a sentence where that fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import ray

from segviz.cluster.access import check_loopback
from segviz.cluster.few_processes import leave_out_processes
from segviz.runtime.ray_token import LOCAL, is_local
from segviz.settings import MIB

REACH_WITHIN_S = 5.0
JOIN_WITHIN_S = 60.0  # else Ray tries for minutes
STORE_BYTES = 256 * MIB  # a local cluster's object store: pictures on their way, and checkpoints


def join_or_start(address: str, cores: int, folder: str, options: dict[str, Any]) -> None:
    """Join the cluster of an address, or start one on this machine that ends with this process.

    Args:
        address: of the cluster's head, or "local".
        cores: of a local cluster.
        folder: where a local cluster keeps its logs and sockets; its path has to be short.
        options: of `ray.init`, in addition.

    Raises:
        ConnectionError: there is no cluster at the address, or it does not let this process in.
        RuntimeError: Ray cannot be started, or would listen on other addresses than loopback.
    """
    options = {"log_to_driver": False, "configure_logging": False, **options}
    if not is_local(address):
        check_reachable(address)
        call_within(JOIN_WITHIN_S, lambda: ray.init(address=address, **options))
        return
    with leave_out_processes():
        ray.init(
            address=LOCAL,
            num_cpus=cores,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _temp_dir=folder,
            **options,
        )
    check_loopback()


def check_reachable(address: str) -> None:
    """Check that something listens at an address, for Ray itself tries for a minute.

    Raises:
        ConnectionError: nothing does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_WITHIN_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({getattr(error, 'strerror', None) or error}); check the address and "
            "the port of its head, and that it runs"
        ) from None


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
