"""Why the engine did not answer a request. The messages are written for visitors."""

from __future__ import annotations

from segviz.runtime.out_of_memory import ExplainedMemoryError


class EngineError(RuntimeError):
    """The engine did not answer this request; the next one may succeed."""


class BusyError(EngineError):
    """Too many requests are waiting; raised at once."""


class DeadlineError(EngineError):
    """The answer did not come in time."""


class SupersededError(EngineError):
    """The same session asked for something newer while this request was still queued."""


class LeaseError(EngineError):
    """Nobody looked at the answer's status within the lease, so the request was dropped."""


class TooLargeError(EngineError, ExplainedMemoryError):
    """The picture needs more memory than is available, even at the smallest scale."""


class CrashError(EngineError):
    """The computation failed twice for an unknown reason; the log has the traceback."""


class ClusterError(EngineError):
    """The models run in a cluster, and it cannot be reached."""


class ChangingFilesError(EngineError):
    """The files of the model were written while they were read, again and again."""
