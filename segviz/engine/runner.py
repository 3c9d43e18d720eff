"""The only place where models are loaded and run.

Predictions share one read-only model: a forward returns its maps and leaves nothing on the modules (tests hold every
model to that), so workers need no copies. Captum registers hooks on modules: an attribution copies the model first.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from segviz.engine.answer import Result
from segviz.engine.errors import ChangingFilesError
from segviz.engine.open_model import is_bundled, model_identity, open_model
from segviz.engine.request import ReportProgress, Request, digest
from segviz.engine.result_cache import arrays_of

LOADS = 3  # of a model whose files change while it is read


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready: the identity of its files, its predictor, and the bytes of its weights."""

    sha: str
    predictor: Any
    bytes: int


class Runner:
    """Models by name, each loaded on first use and again when its file has changed.

    Args:
        load: returns the predictor of a model by name; by default that of the bundled models and the catalogue.
        identify: returns a digest of a model's files by name; by default of the same.
        model_bytes: weights that may be loaded; beyond it the least recently used models are dropped, but never the
            one that is asked for.
    """

    def __init__(
        self,
        load: Callable[[str], Any] | None = None,
        identify: Callable[[str], str] | None = None,
        model_bytes: float = math.inf,
    ) -> None:
        self._load, self._identify, self._model_bytes = load, identify, model_bytes
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._lock, self._loading = threading.Lock(), dict[str, threading.Lock]()

    @property
    def model_count(self) -> int:
        """How many models are loaded."""
        return len(self._loaded)

    @property
    def model_names(self) -> tuple[str, ...]:
        """The names of the models that are loaded, the least recently used first."""
        with self._lock:
            return tuple(self._loaded)

    def identity(self, model: str) -> str:
        """A digest that changes with the model's files.

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
            ChangingFilesError: its files change while they are read.
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
        return Result(output.value, notes, output.keep, sha, time.monotonic() - start, output.about)

    def model(self, name: str) -> tuple[str, Any]:
        """The identity of a model's files, and its predictor; different models load in parallel.

        Raises:
            CheckpointError: the model cannot be loaded.
            ChangingFilesError: its files change while they are read.
        """
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:
            sha, found = self.identity(name), self._loaded.get(name)
            if found is None or found.sha != sha:
                found = self._load_settled(name, sha)
            self._keep(name, found)
            return found.sha, found.predictor

    def _load_settled(self, name: str, sha: str) -> LoadedModel:
        """The model from files that were the same before and after they were read; it is read a few times at most.

        Args:
            name: the model's name.
            sha: the identity of its files.

        Raises:
            ChangingFilesError: they were different each time.
        """
        for _ in range(LOADS):
            predictor = (self._load or open_model)(name)
            # The predictor of a bundled model knows which bytes it came from; for other networks, that is unknown.
            read = getattr(predictor, "digest", "") if is_bundled(name) else ""
            before, sha = read or sha, read or self.identity(name)
            if before == sha:
                return LoadedModel(sha, predictor, weight_bytes(predictor))
        raise ChangingFilesError(
            f"the files of '{name}' change while they are read; wait until they are written, then try again"
        )

    def _keep(self, name: str, model: LoadedModel) -> None:
        """Keep a model as the one that was used last, and drop others where there are too many bytes."""
        with self._lock:
            self._loaded[name] = model
            self._loaded.move_to_end(name)
            while len(self._loaded) > 1 and sum(one.bytes for one in self._loaded.values()) > self._model_bytes:
                self._loaded.popitem(last=False)


def weight_bytes(predictor: Any) -> int:
    """Bytes of a predictor's weights; 0 where its network is not known."""
    network = getattr(predictor, "model", None) or getattr(predictor, "network", None)
    if not isinstance(network, nn.Module):
        return 0
    return sum(one.numel() * one.element_size() for one in (*network.parameters(), *network.buffers()))


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
