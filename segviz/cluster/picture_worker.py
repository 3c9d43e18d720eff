"""A worker of a command's run: a process in the cluster that opens a job once, and does the tasks that it is sent.

A process of Ray imports this module before it may defer anything, so torch and the modules of the job are imported in
`open`, without torch's compiler.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any, Protocol

from segviz.runtime.garbage_collection import pause_collector
from segviz.runtime.lazy_dynamo import defer_compiler
from segviz.version import VERSION


class WorkerJob(Protocol):
    """What workers do. It is pickled on its way, so it holds no live model."""

    def open(self) -> JobOnWorker:
        """Make ready, in the worker's process."""


class JobOnWorker(Protocol):
    """A job that is ready."""

    @property
    def notes(self) -> str:
        """What the command says about it, in whole lines."""

    def run(self, task: Any) -> Any:
        """Do one task."""


@dataclass(frozen=True)
class WorkerReport:
    """What a worker says once it is ready: the job's notes, and the versions that it runs."""

    notes: str
    segviz: str
    torch: str


@dataclass(frozen=True)
class NotReady:
    """The worker could not open its job."""

    error: BaseException


class PictureWorker:
    """The actor's class.

    Args:
        threads: torch's threads.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._job: JobOnWorker | NotReady | None = None

    def open(self, job: bytes) -> WorkerReport | NotReady:
        """Open a job, a pickled `WorkerJob`, in place of the one before."""
        self._job = None  # its model's memory is free before the next one's is taken
        try:
            with pause_collector(), defer_compiler():
                import torch

                ready: WorkerJob = pickle.loads(job)
            torch.set_num_threads(self._threads)
            self._job = ready.open()
        except Exception as error:
            self._job = NotReady(portable_error(error))
            return self._job
        return WorkerReport(self._job.notes, VERSION, torch.__version__)

    def run(self, task: Any) -> Any:
        """The outcome of a task; an error is an outcome too."""
        assert self._job is not None and not isinstance(self._job, NotReady)
        try:
            return self._job.run(task)
        except Exception as error:
            return portable_error(error)


def portable_error(error: Exception) -> Exception:
    """The error as another process can read it: without frames, and as a RuntimeError where its class cannot travel."""
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
