"""A replica: a process on one machine, or on a share of its GPU, whose worker runs what the app's bridge sends."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import ray
from ray import serve
from ray.exceptions import ActorDiedError, RayError

from segviz.cluster.access import bind_serve_to_node
from segviz.cluster.messages import ReplicaState
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.cluster.worker import AskWhetherStopped, ReplicaWorker
from segviz.runtime.lazy_dynamo import defer_compiler
from segviz.version import VERSION

BETWEEN_REPORTS_S = 0.1  # of the same step
BEGIN_WITHIN_S = 10.0  # the board has to note a task; else it is lost


class Replica:
    """The deployment's class. Ray calls `run` for as many tasks at once as there are slots.

    Args:
        plan: the replicas' plan.
        board: the board's actor.
        worker: "module:class" of the worker, which is made with the plan.
        version: the app's version of segviz.

    Raises:
        RuntimeError: this machine has another version of segviz.
    """

    def __init__(self, plan: ReplicaPlan, board: Any, worker: str, version: str) -> None:
        if version != VERSION:
            raise RuntimeError(
                f"a machine of the cluster has segviz {VERSION}, and the app's has {version}; install the same on all"
            )
        bind_serve_to_node()
        module, _, name = worker.partition(":")
        with defer_compiler():
            self._worker: ReplicaWorker = getattr(import_module(module), name)(plan)
        self._board, self._grace_s = board, plan.grace_s
        self._pool = ThreadPoolExecutor(plan.slots, initializer=self._worker.prepare_thread)
        self._ends: dict[str, float] = {}  # when each running task has to be over, by the monotonic clock
        self._lock = threading.Lock()
        self._told: ReplicaState | None = None
        self._told_well: Any = None  # the board's answer to the last sign of life
        self._tell_state()

    async def run(self, ticket: str, task: bytes, content: tuple[Any, ...], deadline_s: float) -> bytes:
        """The outcome of a task.

        It is bytes, so that the bridge keeps no part of the cluster's object store alive.

        Args:
            ticket: the task's.
            task: see `RunTask`.
            content: Ray's reference to the content of its file; in a tuple, so that Ray does not fetch it each time.
            deadline_s: see `RunTask`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._run, ticket, task, content, deadline_s)

    def _run(self, ticket: str, task: bytes, content: tuple[Any, ...], deadline_s: float) -> bytes:
        with self._lock:
            self._ends[ticket] = time.monotonic() + deadline_s + self._grace_s
        try:
            ray.get(self._board.begin.remote(ticket), timeout=BEGIN_WITHIN_S)  # before the work may end this process
            return self._worker.run(task, lambda: ray.get(content[0]), self._make_question(ticket))
        finally:
            with self._lock:
                self._ends.pop(ticket, None)
            self._tell_state()

    def _make_question(self, ticket: str) -> AskWhetherStopped:
        """What a task calls at each step."""
        step, last = (-1, 0), 0.0

        def is_stopped(done: int, total: int) -> bool:
            nonlocal step, last
            if (done, total) == step and time.monotonic() - last < BETWEEN_REPORTS_S:
                return False  # attributions ask before each layer of the network
            step, last = (done, total), time.monotonic()
            stopped: bool = ray.get(self._board.report.remote(ticket, done, total))
            if stopped:
                with self._lock:
                    self._ends[ticket] = time.monotonic() + self._grace_s
            return stopped

        return is_stopped

    def _tell_state(self) -> None:
        """Tell the board what this replica holds, if that has changed."""
        if (state := self._state()) != self._told:
            self._board.note_state.remote(state)
            self._told = state

    def _state(self) -> ReplicaState:
        return ReplicaState(self._worker.model_names, os.getpid(), ray.get_runtime_context().get_node_id())

    def check_health(self) -> None:
        """Ray calls this every few seconds, and replaces the replica where it raises.

        Raises:
            RuntimeError: a task does not end.
        """
        with self._lock:
            hung = [ticket for ticket, end in self._ends.items() if end < time.monotonic()]
        if hung:
            raise RuntimeError(f"{len(hung)} computations do not end; the replica is replaced")
        self._look_after_owner()

    def _look_after_owner(self) -> None:
        """Tell the board that this replica is well; where its app is gone, have all of the app's replicas end."""
        answers = ray.wait([self._told_well], timeout=0)[0] if self._told_well is not None else []
        try:
            ray.get(answers)
        except ActorDiedError:
            name = serve.get_replica_context().app_name
            threading.Thread(target=serve.delete, args=(name,), daemon=True).start()
        except RayError:
            pass  # the board moves to another machine
        if answers or self._told_well is None:
            self._told_well = self._board.note_state.remote(self._state())
