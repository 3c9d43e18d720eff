"""Who runs a model, and when. Pages ask the engine, never a model.

A `Request` goes in and an `Answer` comes out, which will hold a `Result`; a `Backend` runs the models. Equal requests
share one computation, sessions take turns, and results are cached by the SHA-256 of pixels, model file and parameters.
"""

from segviz.engine.answer import Answer, Result, Status
from segviz.engine.backend import Backend, Health
from segviz.engine.capacity import Capacity, capacity_for
from segviz.engine.client import Engine, engine
from segviz.engine.errors import (
    BusyError,
    CrashError,
    DeadlineError,
    EngineError,
    LeaseError,
    SupersededError,
    TooLargeError,
)
from segviz.engine.network_ops import CompareLayer, CompareStage, Watch
from segviz.engine.ops import Attribute, CompareFeatures, MeasureInfluence, Predict
from segviz.engine.request import Op, OpResult, Request, digest
from segviz.engine.runner import Runner
from segviz.engine.thread_backend import ThreadBackend

__all__ = [
    "Answer",
    "Attribute",
    "Backend",
    "BusyError",
    "Capacity",
    "CompareFeatures",
    "CompareLayer",
    "CompareStage",
    "CrashError",
    "DeadlineError",
    "Engine",
    "EngineError",
    "Health",
    "LeaseError",
    "MeasureInfluence",
    "Op",
    "OpResult",
    "Predict",
    "Request",
    "Result",
    "Runner",
    "Status",
    "SupersededError",
    "ThreadBackend",
    "TooLargeError",
    "Watch",
    "capacity_for",
    "digest",
    "engine",
]
