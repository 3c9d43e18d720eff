"""The only place where models are loaded and run.

Predictions share one read-only model: a forward returns its maps and leaves nothing on the modules (tests hold every
model to that), so workers need no copies. Captum registers hooks on modules: an attribution copies the model first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from segviz.engine.answer import Result
from segviz.engine.open_model import model_identity, open_model
from segviz.engine.request import ReportProgress, Request, digest
from segviz.engine.result_cache import arrays_of


class Runner:
    """Models by name, each loaded on first use and again when its file has changed.

    Args:
        load: returns the predictor of a model by name; by default that of the bundled models and the catalogue.
        identify: returns a digest of a model's files by name; by default of the same.
    """

    def __init__(self, load: Callable[[str], Any] | None = None, identify: Callable[[str], str] | None = None) -> None:
        self._load, self._identify = load, identify
        self._loaded: dict[str, tuple[str, Any]] = {}
        self._lock, self._loading = threading.Lock(), dict[str, threading.Lock]()

    @property
    def model_count(self) -> int:
        """How many models are loaded."""
        return len(self._loaded)

    def identity(self, model: str) -> str:
        """SHA-256 of the model's file.

        Raises:
            CheckpointError: the file is missing or cannot be read.
        """
        return (self._identify or model_identity)(model)

    def run(self, request: Request, budget: int, report: ReportProgress) -> Result:
        """Run a request's op.

        Args:
            request: the request.
            budget: bytes that it may use.
            report: called with (done, total); whatever it raises ends the work.

        Raises:
            CheckpointError: the model cannot be loaded.
            ValueError: the request cannot be answered, or its picture has changed since it was submitted.
            TooLargeError: it needs more memory than is available.
        """
        sha, predictor = self.model(request.model)
        if digest(request.image) != request.image_sha:
            raise ValueError("the picture was changed while the request waited; submit a copy")
        start = time.monotonic()
        output = request.op.run(predictor, request.image, budget, report)
        notes = (*output.notes, *not_finite_notes(output.value))
        protect(output.value)
        return Result(output.value, notes, output.keep, sha, time.monotonic() - start)

    def model(self, name: str) -> tuple[str, Any]:
        """The SHA-256 of a model's file, and its predictor; different models load in parallel.

        Raises:
            CheckpointError: the model cannot be loaded.
        """
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:
            sha = self.identity(name)
            if name not in self._loaded or self._loaded[name][0] != sha:
                predictor = (self._load or open_model)(name)
                # The file may have changed since; the predictor knows the digest of the bytes that it came from.
                self._loaded[name] = (getattr(predictor, "digest", "") or sha, predictor)
            return self._loaded[name]


def not_finite_notes(value: object) -> tuple[str, ...]:
    """A sentence that counts the values that are NaN or infinite; empty if all are finite."""
    counts = {name: count for name, array in arrays_of(value) if (count := count_not_finite(array))}
    if not counts:
        return ()
    total = sum(counts.values())
    return (
        f"{total:,} {'value is' if total == 1 else 'values are'} not finite (NaN or infinite), in {', '.join(counts)}; "
        "what is drawn there means nothing",
    )


def count_not_finite(array: np.ndarray | Tensor) -> int:
    """How many values are NaN or +inf. -inf is valid: the logarithm of a weight of 0, as outside PSA's masks."""
    if isinstance(array, Tensor):
        return int((array.isnan() | array.isposinf()).sum()) if array.is_floating_point() else 0
    return int((np.isnan(array) | np.isposinf(array)).sum()) if np.issubdtype(array.dtype, np.floating) else 0


def protect(value: object) -> None:
    """Make arrays read-only, because sessions share them; tensors cannot be made so."""
    for _, array in arrays_of(value):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
