"""What goes to a replica, and what comes back; both pickled by our own processes."""

from __future__ import annotations

from dataclasses import dataclass

from segviz.engine.answer import Result
from segviz.engine.computation import AbandonedError
from segviz.engine.errors import EngineError
from segviz.engine.ray_cluster.portable_model import PortableModel
from segviz.engine.request import Request


@dataclass(frozen=True)
class RemoteRequest:
    """A request, with what the replica needs to open its model.

    Attributes:
        model: the model.
        request: the request.
        budget: bytes that it may use.
    """

    model: PortableModel
    request: Request
    budget: int


@dataclass(frozen=True)
class Crash:
    """A computation that failed for an unknown reason.

    Attributes:
        traceback: what Python says, for the log.
    """

    traceback: str


Outcome = Result | ValueError | EngineError | AbandonedError | Crash
