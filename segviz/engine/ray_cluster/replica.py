"""A replica: models on one machine, or on a share of its GPU, that run what they are sent."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ray
import torch

from segviz.engine.answer import Result
from segviz.engine.computation import AbandonedError
from segviz.engine.errors import EngineError
from segviz.engine.ray_cluster.access import bind_serve_to_node
from segviz.engine.ray_cluster.portable_model import PortableModel
from segviz.engine.request import Request
from segviz.engine.runner import Runner

BETWEEN_REPORTS_S = 0.1  # of the same step


@dataclass(frozen=True)
class Crash:
    """A computation that failed for an unknown reason.

    Attributes:
        traceback: what Python says, for the log.
    """

    traceback: str


Outcome = Result | ValueError | EngineError | AbandonedError | Crash


@dataclass(frozen=True)
class ReplicaState:
    """What a replica holds: the names of its models, and its process."""

    models: tuple[str, ...]
    process: int


class Replica:
    """The deployment's class. Ray calls `run` for as many requests at once as there are slots.

    Args:
        slots: computations at once.
        threads: torch's threads of each.
        model_bytes: weights that may be loaded at once.
        board: the board's actor.
        grace_s: seconds after a computation's deadline, or after it was stopped; then the replica counts as hung.
    """

    def __init__(self, slots: int, threads: int, model_bytes: int, board: Any, grace_s: float = 30.0) -> None:
        bind_serve_to_node()
        self._board, self._grace_s = board, grace_s
        self._portable: dict[str, PortableModel] = {}
        self._runner = Runner(self._open, self._identify, model_bytes)
        self._pool = ThreadPoolExecutor(slots, initializer=torch.set_num_threads, initargs=(threads,))
        self._ends: dict[str, float] = {}  # when each running computation has to be over, by the monotonic clock
        self._lock = threading.Lock()

    async def run(self, ticket: str, model: PortableModel, request: Request, budget: int) -> bytes:
        """The pickled outcome of a request.

        It is bytes, so that the app's process keeps no part of the cluster's object store alive.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._run, ticket, model, request, budget)

    def _run(self, ticket: str, model: PortableModel, request: Request, budget: int) -> bytes:
        with self._lock:
            self._portable[model.name] = model
            self._ends[ticket] = time.monotonic() + request.deadline_s + self._grace_s
        try:
            return pickle.dumps(self._outcome(ticket, request, budget), protocol=5)
        finally:
            with self._lock:
                self._ends.pop(ticket, None)

    def _outcome(self, ticket: str, request: Request, budget: int) -> Outcome:
        try:
            return self._runner.run(request, budget, self._reporter(ticket))
        except (ValueError, EngineError, AbandonedError) as error:
            return error.with_traceback(None)
        except BaseException:  # a replica survives whatever a computation does
            return Crash(traceback.format_exc())

    def _reporter(self, ticket: str) -> Callable[[int, int], None]:
        """What a computation calls at each step; it raises AbandonedError where nobody waits any more."""
        step, last = (-1, 0), 0.0

        def report(done: int, total: int) -> None:
            nonlocal step, last
            if (done, total) == step and time.monotonic() - last < BETWEEN_REPORTS_S:
                return  # attributions ask before each layer of the network
            step, last = (done, total), time.monotonic()
            if ray.get(self._board.report.remote(ticket, done, total)):
                with self._lock:
                    self._ends[ticket] = time.monotonic() + self._grace_s
                raise AbandonedError

        return report

    def _open(self, name: str) -> Any:
        return self._portable[name].open()

    def _identify(self, name: str) -> str:
        return self._portable[name].sha

    def state(self) -> ReplicaState:
        """What the replica holds."""
        return ReplicaState(self._runner.model_names, os.getpid())

    def check_health(self) -> None:
        """Ray calls this every few seconds, and replaces the replica where it raises.

        Raises:
            RuntimeError: a computation does not end.
        """
        with self._lock:
            hung = [ticket for ticket, end in self._ends.items() if end < time.monotonic()]
        if hung:
            raise RuntimeError(f"{len(hung)} computations do not end; the replica is replaced")
