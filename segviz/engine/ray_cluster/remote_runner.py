"""A runner whose models are in a Ray cluster: what it is asked goes to a replica, and it waits for the outcome."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from segviz.engine.answer import Result
from segviz.engine.computation import AbandonedError
from segviz.engine.ray_cluster.cluster import (
    APPLICATION,
    Deployment,
    ReplicaPlan,
    connect,
    count_replicas,
    deploy,
    disconnect,
)
from segviz.engine.ray_cluster.portable_model import FileModels, ModelSource
from segviz.engine.ray_cluster.replica import Crash
from segviz.engine.request import ReportProgress, Request
from segviz.engine.runner import protect

POLL_S = 0.1  # between two looks at a computation's progress
STOP_WITHIN_S = 60.0  # how long a stopped computation may take to reach its next step
TELL_WITHIN_S = 1.0  # how long a stop sign may take to reach the board
COUNT_EVERY_S = 2.0  # between two counts of the replicas

_log = logging.getLogger("segviz.engine")


class ReplicaError(RuntimeError):
    """A replica, or the cluster, was lost or did not answer; the computation may be tried once more."""


class RemoteRunner:
    """Sends computations to replicas. Any thread may call it.

    Args:
        address: of the cluster; "local" starts one.
        plan: the replicas.
        source: the models.
        name: the replicas' name in the cluster.
    """

    def __init__(
        self, address: str, plan: ReplicaPlan, source: ModelSource | None = None, name: str = APPLICATION
    ) -> None:
        self.address, self.plan, self.name = address, plan, name
        self.source: ModelSource = source or FileModels()
        self._deployment: Deployment | None = None
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._tickets: dict[int, str] = {}  # of running long computations, by their request
        self._counted, self._replicas = 0.0, 0

    @property
    def model_count(self) -> int:
        """How many models were asked for; each replica keeps those that fit."""
        return len(self._used)

    def identity(self, model: str) -> str:
        """See `ModelSource.identity`."""
        return self.source.identity(model)

    def start(self) -> Deployment:
        """Connect and deploy, unless that is done.

        Raises:
            ReplicaError: the cluster cannot be reached.
        """
        with self._lock:
            if self._deployment is None:
                try:
                    connect(self.address, self.plan)
                    self._deployment = deploy(self.plan, self.name)
                except (RayError, RayServeException, ConnectionError, RuntimeError) as error:
                    raise ReplicaError(f"no replica could be started at '{self.address}': {error}") from error
            return self._deployment

    def run(self, request: Request, budget: int, report: ReportProgress) -> Result:
        """See `Runner.run`.

        Raises:
            AbandonedError: nobody waits for it any more.
            ReplicaError: the replica was lost, or failed for a reason that its log has.
        """
        deployment = self.start()
        model = self.source.portable(request.model, self.identity(request.model))
        self._used.add(request.model)
        ticket = self._tickets[id(request)] = uuid4().hex
        sent = replace(request, known_sha=request.image_sha)  # the replica finds out a picture that has changed
        try:
            response = deployment.handle.run.remote(ticket, model, sent, budget)
            outcome = pickle.loads(self._wait(deployment, response, ticket, request, report))
        except (RayError, RayServeException, ConnectionError) as error:
            self._lose(error)
            raise ReplicaError(f"a replica was lost ({type(error).__name__})") from error
        finally:
            self._tickets.pop(id(request), None)
            deployment.board.remove.remote(ticket)
        if isinstance(outcome, Crash):
            raise ReplicaError(outcome.traceback)
        if isinstance(outcome, BaseException):
            raise outcome
        protect(outcome.value)
        assert isinstance(outcome, Result)
        return outcome

    def _wait(
        self, deployment: Deployment, response: Any, ticket: str, request: Request, report: ReportProgress
    ) -> bytes:
        """The pickled outcome. Long computations report their progress meanwhile, and are stopped if nobody waits."""
        end = time.monotonic() + request.deadline_s + 2 * self.plan.grace_s
        while True:
            try:
                return response.result(timeout_s=POLL_S)  # type: ignore[no-any-return]
            except TimeoutError:
                if time.monotonic() > end:
                    response.cancel()
                    raise ReplicaError("a replica did not answer in time") from None
            if request.op.long:
                try:
                    report(*ray.get(deployment.board.progress.remote(ticket), timeout=STOP_WITHIN_S))
                except AbandonedError:
                    deployment.board.stop.remote(ticket)
                    wait_until_stopped(response)
                    raise

    def stop(self, request: Request) -> None:
        """Have a running request stop at its next step, because nobody waits for it."""
        ticket, deployment = self._tickets.get(id(request)), self._deployment
        if ticket is None or deployment is None:
            return
        with suppress(RayError, RayServeException, ConnectionError, TimeoutError):
            ray.get(deployment.board.stop.remote(ticket), timeout=TELL_WITHIN_S)

    def _lose(self, error: Exception) -> None:
        """Note whether the cluster itself is gone, so that the next computation looks for it anew."""
        if not is_cluster_there():
            _log.warning("the Ray cluster was lost (%s); it is looked for again", type(error).__name__)
            self.close()

    def count_replicas(self) -> int | None:
        """Replicas that run; at most two seconds old. None before the first computation."""
        if self._deployment is None:
            return None
        if time.monotonic() > self._counted + COUNT_EVERY_S:
            self._counted = time.monotonic()
            try:
                self._replicas = count_replicas(self.name)
            except (RayError, RayServeException, ConnectionError, RuntimeError):
                self._replicas = 0
        return self._replicas

    def close(self) -> None:
        """Leave the cluster; the next computation connects again."""
        with self._lock:
            self._deployment = None
            if isinstance(self.source, FileModels):
                self.source.forget()
            try:
                disconnect(self.address, self.name)
            except (RayError, RayServeException, ConnectionError, RuntimeError) as error:
                _log.warning("the Ray cluster was not left in order: %s", error)
                ray.shutdown()


def wait_until_stopped(response: Any) -> None:
    """Wait until a stopped computation has ended, so that its slot is free again."""
    try:
        response.result(timeout_s=STOP_WITHIN_S)
    except (TimeoutError, RayError, RayServeException):
        response.cancel()


def is_cluster_there() -> bool:
    """Whether the cluster's head answers."""
    try:
        return bool(ray.nodes())
    except Exception:  # Ray raises various types here, also its own internal ones
        return False
