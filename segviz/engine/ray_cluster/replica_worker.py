"""What runs requests in a replica's process: a runner, as in the app's own process."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

import torch

from segviz.cluster.replica_plan import ReplicaPlan
from segviz.cluster.worker import AskWhetherStopped
from segviz.engine.computation import AbandonedError
from segviz.engine.errors import EngineError
from segviz.engine.ray_cluster.portable_model import PortableModel
from segviz.engine.ray_cluster.remote_request import Crash, Outcome, RemoteRequest
from segviz.engine.request import ReportProgress
from segviz.engine.runner import Runner
from segviz.runtime.malloc import Trimmer
from segviz.settings import MIB


class RunnerWorker:
    """See `ReplicaWorker`.

    Args:
        plan: the replicas' plan.
    """

    def __init__(self, plan: ReplicaPlan) -> None:
        self._threads, self._trimmer = plan.threads, Trimmer()
        self._openers: dict[str, tuple[PortableModel, Callable[[], bytes]]] = {}
        self._runner = Runner(self._open, self._identify, plan.models_mb * MIB)

    def prepare_thread(self) -> None:
        """Torch's threads are set for each thread."""
        torch.set_num_threads(self._threads)

    def run(self, task: bytes, fetch: Callable[[], bytes], is_stopped: AskWhetherStopped) -> bytes:
        """See `ReplicaWorker.run`; the outcome is a pickled `Outcome`."""
        try:
            return pickle.dumps(self._outcome(task, fetch, is_stopped), protocol=5)
        finally:
            self._trimmer.trim_if_due()

    def _outcome(self, task: bytes, fetch: Callable[[], bytes], is_stopped: AskWhetherStopped) -> Outcome:
        try:
            opened: RemoteRequest = pickle.loads(task)  # made by the app's own process
            self._openers[opened.model.name] = opened.model, fetch
            return self._runner.run(opened.request, opened.budget, make_report(is_stopped))
        except (ValueError, EngineError, AbandonedError) as error:
            return error.with_traceback(None)
        except BaseException:  # a replica survives whatever a computation does
            return Crash(traceback.format_exc())

    def _open(self, name: str) -> Any:
        model, fetch = self._openers[name]
        return model.open(fetch)

    def _identify(self, name: str) -> str:
        return self._openers[name][0].sha

    @property
    def model_names(self) -> tuple[str, ...]:
        """See `ReplicaWorker.model_names`."""
        return self._runner.model_names


def make_report(is_stopped: AskWhetherStopped) -> ReportProgress:
    """What a computation calls at each step; it raises AbandonedError where nobody waits any more."""

    def report(done: int, total: int) -> None:
        if is_stopped(done, total):
            raise AbandonedError

    return report
