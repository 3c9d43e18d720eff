"""The only place where models are loaded and run.

Predictions share one read-only model: a forward returns its maps and leaves nothing on the modules (tests hold every
model to that), so workers need no copies. Captum hooks into modules: an attribution copies the model first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from segviz.catalogue.checkpoint_file import CheckpointError, sha256
from segviz.catalogue.location import bundled_path
from segviz.engine.request import Request, Result, Tell, digest
from segviz.engine.result_cache import arrays_of
from segviz.models.registry import SPECS
from segviz.prediction.predictor import load_predictor


class Runner:
    """Models by name, each loaded when first asked for and again when its file has changed.

    Args:
        load: makes the predictor of a model's name; the bundled checkpoint's by default.
        identify: the SHA-256 of a model's file; the bundled checkpoint's by default.
    """

    def __init__(self, load: Callable[[str], Any] | None = None, identify: Callable[[str], str] | None = None) -> None:
        self._load, self._identify = load, identify
        self._loaded: dict[str, tuple[str, Any]] = {}
        self._lock, self._loading = threading.Lock(), dict[str, threading.Lock]()

    @property
    def loaded(self) -> int:
        """How many models are loaded."""
        return len(self._loaded)

    def identity(self, model: str) -> str:
        """SHA-256 of the model's file.

        Raises:
            CheckpointError: there is none to read.
        """
        return (self._identify or checkpoint_sha)(model)

    def run(self, request: Request, budget: int, tell: Tell) -> Result:
        """Do what a request asks for.

        Args:
            request: the question.
            budget: bytes that it may need.
            tell: is called with (done, total); whatever it raises ends the work.

        Raises:
            CheckpointError: the model cannot be loaded.
            ValueError: the request itself cannot be answered, or its picture has changed since it was asked.
            TooLargeError: it needs more memory than there is.
        """
        sha, predictor = self.model(request.model)
        if digest(request.image) != request.image_sha:
            raise ValueError("the picture was changed while it waited; ask with a copy of it")
        start = time.monotonic()
        made = request.op.run(predictor, request.image, budget, tell)
        notes = (*made.notes, *not_finite(made.value))
        protect(made.value)
        return Result(made.value, notes, made.keep, sha, time.monotonic() - start)

    def model(self, name: str) -> tuple[str, Any]:
        """A model's identity and its predictor; models of different names load side by side.

        Raises:
            CheckpointError: the model cannot be loaded.
        """
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:
            sha = self.identity(name)
            if name not in self._loaded or self._loaded[name][0] != sha:
                self._loaded[name] = (sha, (self._load or load_predictor)(name))
            return self._loaded[name]


def checkpoint_sha(model: str) -> str:
    """SHA-256 of a bundled checkpoint.

    Raises:
        CheckpointError: there is no such model, or its file cannot be read.
    """
    if model not in SPECS:
        raise CheckpointError(f"'{model}' is no model; the models are {', '.join(SPECS)}")
    path = bundled_path(model)
    try:
        state = path.stat()
        return file_sha(str(path), state.st_mtime_ns, state.st_size, state.st_ino)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); restore it or train it again") from None


@lru_cache(maxsize=64)
def file_sha(path: str, changed_ns: int, size: int, inode: int) -> str:
    """SHA-256 of a file, read again only where the rest differs."""
    return sha256(Path(path))


def not_finite(value: object) -> tuple[str, ...]:
    """A sentence with the count of the values that are NaN or infinite; none where all are finite."""
    counts = {name: unsound for name, array in arrays_of(value) if (unsound := count_not_finite(array))}
    if not counts:
        return ()
    total = sum(counts.values())
    return (
        f"{total:,} {'value is' if total == 1 else 'values are'} not finite (NaN or infinite), in {', '.join(counts)}; "
        "what is drawn there means nothing",
    )


def count_not_finite(array: np.ndarray | Tensor) -> int:
    """How many values are NaN or infinite; -inf is sound: the logarithm of a weight of 0, as beyond PSA's masks."""
    if isinstance(array, Tensor):
        return int((array.isnan() | array.isposinf()).sum()) if array.is_floating_point() else 0
    return int((np.isnan(array) | np.isposinf(array)).sum()) if np.issubdtype(array.dtype, np.floating) else 0


def protect(value: object) -> None:
    """Make arrays read-only, because sessions share them; torch has no such switch."""
    for _, array in arrays_of(value):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
