"""A runner whose models are in a Ray cluster: what it is asked goes to a replica, and it waits for the outcome."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from dataclasses import replace
from uuid import uuid4

from segviz.cluster.link import BridgeLink, RemoteCall
from segviz.cluster.messages import Answered, FileChanged, Lost, ReplicaState, RunTask
from segviz.cluster.replica_plan import ReplicaPlan
from segviz.engine.answer import Result
from segviz.engine.computation import AbandonedError, LostError
from segviz.engine.errors import ClusterError, EngineError
from segviz.engine.ray_cluster.portable_model import FileModels, ModelSource
from segviz.engine.ray_cluster.remote_request import Crash, RemoteRequest
from segviz.engine.request import DEADLINE_S, ReportProgress, Request
from segviz.engine.runner import protect
from segviz.runtime.ray_token import ray_environment

NAME = "segviz"  # what the replicas' names in the cluster begin with
WAKE_EVERY_S = 0.1  # between two looks at a computation's progress, and at whether anybody still waits
STOP_WITHIN_S = 60.0  # how long a stopped computation may take to reach its next step
READY_WITHIN_S = 180.0
NO_MACHINE = (
    "no machine can run it at the moment; try again in a minute, or tell whoever runs this server, "
    "whose log has the cause"
)
PAUSE_S = 3.0  # between two attempts to reach a cluster


_log = logging.getLogger("segviz.engine")


class ReplicaError(RuntimeError):
    """A computation failed in a replica for an unknown reason; the message is the traceback there."""


class NotBegunError(RuntimeError):
    """What was sent was lost before a replica had begun with it."""


class RemoteRunner:
    """Sends computations to replicas. Any thread may call it.

    Args:
        address: of the cluster; "local" starts one.
        plan: the replicas.
        source: the models.
        name: what the replicas' names in the cluster begin with.
    """

    def __init__(self, address: str, plan: ReplicaPlan, source: ModelSource | None = None, name: str = NAME) -> None:
        self.address, self.plan, self.name = address, plan, name
        self.source: ModelSource = source or FileModels()
        self._link: BridgeLink | None = None
        self._lock = threading.Lock()
        self._tried, self._was_there, self._closed = -PAUSE_S, False, False
        self._problem = ""  # of the attempt before

    def identity(self, model: str) -> str:
        """See `ModelSource.identity`."""
        return self.source.identity(model)

    def connect(self) -> None:
        """Begin to start the replicas, so that the first request finds them, and keep on trying where they are lost."""
        threading.Thread(target=self._keep_link, name="segviz cluster", daemon=True).start()

    def _keep_link(self) -> None:
        told = ""
        while not self._closed:
            try:
                self._find_link()
            except ClusterError as error:
                if str(error) != told and not self._closed:  # once, however often it is tried
                    _log.warning("%s; it is tried again every %.0f s", error, PAUSE_S)
                told = str(error)
            except Exception:  # such as no thread left
                _log.exception("the cluster could not be looked for; it is tried again every %.0f s", PAUSE_S)
            time.sleep(PAUSE_S)

    def start(self) -> None:
        """Start the replicas, unless that is done, and wait until they run.

        Raises:
            ClusterError: they cannot be started.
        """
        try:
            self._wait_for_replicas(READY_WITHIN_S, lambda done, total: None)
        except ClusterError:
            raise ClusterError(self.problem or "the replicas did not start in time") from None

    def run(self, request: Request, budget: int, report: ReportProgress) -> Result:
        """See `Runner.run`.

        Raises:
            AbandonedError: nobody waits for it any more.
            ClusterError: no cluster can be reached.
            LostError: the replica, or the cluster, was lost or did not answer.
            ReplicaError: it failed for an unknown reason.
        """
        while True:
            link = self._wait_for_replicas(min(request.deadline_s, DEADLINE_S), report)
            try:
                return self._send(link, request, budget, report)
            except NotBegunError:
                report(0, 1)  # ends here if nobody waits any more
                time.sleep(WAKE_EVERY_S)

    def _send(self, link: BridgeLink, request: Request, budget: int, report: ReportProgress) -> Result:
        model = self.source.portable(request.model, self.identity(request.model))
        sent = replace(request, known_sha=request.image_sha)  # the replica finds out a picture that has changed
        task = pickle.dumps(RemoteRequest(model, sent, budget), protocol=5)
        call = link.call(RunTask(uuid4().hex, task, model.content, request.deadline_s, request.op.long))
        return self._outcome(link, call, report)

    def _outcome(self, link: BridgeLink, call: RemoteCall, report: ReportProgress) -> Result:
        """Wait for a call. A long one reports its progress meanwhile, and is stopped if nobody waits for it."""
        while not call.wait(WAKE_EVERY_S if call.run.long else None):
            try:
                report(*call.progress)
            except AbandonedError:
                link.stop(call)
                call.wait(STOP_WITHIN_S)  # its slot is free again
                raise
        if isinstance(call.outcome, FileChanged):
            raise EngineError(call.outcome.cause)
        if isinstance(call.outcome, Lost) and not call.outcome.begun:
            raise NotBegunError
        if not isinstance(call.outcome, Answered):
            lost = call.outcome
            raise LostError(lost.cause if lost else "no outcome", lost is not None and lost.for_memory)
        outcome = pickle.loads(call.outcome.outcome)
        if isinstance(outcome, Crash):
            raise ReplicaError(outcome.traceback)
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, Result)
        protect(outcome.value)
        return outcome

    # ---- the cluster ------------------------------------------------------------------------------------

    def _wait_for_replicas(self, seconds: float, report: ReportProgress) -> BridgeLink:
        """The link to replicas that run.

        A cluster that was there may come back, so it is waited for; one that was never there is refused at once.
        """
        end = time.monotonic() + seconds
        while True:
            link = self._find_link()
            while not link.wait_until_started(WAKE_EVERY_S) and time.monotonic() < end:
                report(0, 1)
            if link.alive and link.started:
                self._was_there = True
                return link
            if (link.refusal and not self._was_there) or time.monotonic() > end:
                raise ClusterError(NO_MACHINE)
            report(0, 1)
            time.sleep(WAKE_EVERY_S)

    def _find_link(self) -> BridgeLink:
        """The link to the cluster; a new one where there is none, or it was lost, but not too often.

        Raises:
            ClusterError: the engine is closed, the token cannot be used, or the bridge cannot be started.
        """
        with self._lock:
            now = time.monotonic()
            if self._link is None or (not self._link.alive and now > self._tried + PAUSE_S):
                if self._closed:
                    raise ClusterError("the engine is closed; restart the app")
                try:
                    environment = ray_environment(self.address, os.environ)
                except ValueError as error:
                    raise ClusterError(str(error)) from None
                if self.problem not in ("", self._problem):  # told once, however often it is tried
                    _log.warning("%s; it is tried again every %.0f s", self.problem, PAUSE_S)
                self._problem, self._tried = self.problem, now
                try:
                    self._link = BridgeLink(self.address, self.plan, self.name, environment)
                except OSError as error:  # there may be no memory for it
                    self._problem = f"the process that joins the cluster cannot be started ({error})"
                    raise ClusterError(self._problem) from None
            return self._link

    @property
    def model_count(self) -> int:
        """How many models the replicas hold, each replica's counted."""
        return sum(len(state.models) for state in self.describe_replicas())

    def describe_replicas(self) -> tuple[ReplicaState, ...]:
        """What each replica holds, as it was a second ago."""
        return self._link.states if self._link is not None else ()

    def count_replicas(self) -> int | None:
        """Replicas that run and are well, as it was a second ago; None while the first ones start."""
        link = self._link
        if link is None or (link.alive and not (link.started or self._was_there or self.problem)):
            return None
        return link.replicas

    @property
    def problem(self) -> str:
        """Why no replica can be had, as the last attempt has shown; "" otherwise."""
        link = self._link
        if link is None or link.alive:
            return "" if link is not None and link.started else self._problem
        return f"the cluster at '{self.address}' cannot be used ({link.refusal or link.last_words or 'it was lost'})"

    def close(self) -> None:
        """Leave the cluster."""
        with self._lock:
            self._closed = True
            link = self._link
        if link is not None:
            link.close()
