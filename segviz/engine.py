"""Who may run a model, and when: pages ask the engine, never a model.

A forward runs once for each picture and model; everyone who waits for the same one shares it. Results are
kept by the SHA-256 of the pixels, bounded in bytes. Predictions are frozen, so sessions can share them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from jaxtyping import UInt8
from torch import OutOfMemoryError, Tensor

from segviz import telemetry
from segviz.attention import AttentionMap
from segviz.checkpoint import CheckpointError
from segviz.models.registry import SPECS
from segviz.predict import Prediction, Predictor, choose_device, device_title, load_predictor
from segviz.settings import settings

CACHE_BYTES = settings().cache_mb * 1024**2
Key = tuple[str, str]


class Engine:
    """Runs models one forward at a time and keeps what came out.

    Args:
        load: makes the predictor of a model's name.
        cache_bytes: how much the kept predictions may hold.
    """

    def __init__(self, load: Callable[[str], Predictor] = load_predictor, cache_bytes: int = CACHE_BYTES) -> None:
        self._load = load
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._forward = threading.Lock()
        self._predictors: dict[str, Predictor] = {}
        self._kept: OrderedDict[Key, Future[Prediction]] = OrderedDict()

    def predict(self, model: str, image: UInt8[np.ndarray, "height width 3"]) -> Prediction:
        """The model's prediction for a picture, from the cache where it is known.

        Raises:
            CheckpointError: the model cannot be loaded.
        """
        key = (model, digest(image))
        with self._lock:
            future = self._kept.get(key)
            mine = future is None
            if future is None:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
        if mine:
            self._run(key, future, image)
        else:
            telemetry.cache_hit()
        return future.result()

    def knows(self, model: str, image: UInt8[np.ndarray, "height width 3"]) -> bool:
        """Whether the answer is there without running the model."""
        with self._lock:
            future = self._kept.get((model, digest(image)))
        return future is not None and future.done()

    @property
    def device(self) -> str:
        """The device that models run on, in words."""
        return device_title(choose_device("auto"))

    def _run(self, key: Key, future: Future[Prediction], image: np.ndarray) -> None:
        try:
            with self._forward:
                if key[0] not in self._predictors:
                    self._predictors[key[0]] = self._load(key[0])
                prediction = self._timed(key[0], image)
        except BaseException as error:
            telemetry.error(kind_of(error))
            with self._lock:
                self._kept.pop(key, None)  # the next one who asks tries again
            future.set_exception(error)
        else:
            future.set_result(prediction)
            self._make_room()

    def _timed(self, model: str, image: np.ndarray) -> Prediction:
        """A forward, told to telemetry."""
        telemetry.forward_started()
        start = time.perf_counter()
        try:
            return self._predictors[model](image)
        finally:
            telemetry.forward_finished(model, time.perf_counter() - start)

    def _make_room(self) -> None:
        """Drop what was asked for longest ago until the rest fits; the newest always stays."""
        with self._lock:
            done = [(key, size_of(future.result())) for key, future in self._kept.items() if future.done()]
            total = sum(size for _, size in done)
            for key, size in done[:-1]:
                if total <= self._cache_bytes:
                    break
                del self._kept[key]
                total -= size
            telemetry.cache_bytes("predictions", total)


def digest(image: UInt8[np.ndarray, "height width 3"]) -> str:
    """SHA-256 of a picture's size and all of its pixels."""
    shape = ",".join(map(str, image.shape)).encode()
    return hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).hexdigest()


def size_of(prediction: Prediction) -> int:
    """Bytes that a prediction holds."""
    values: list[AttentionMap | object] = [prediction.attended, *prediction.maps.values()]
    tensors = {
        tensor.data_ptr(): tensor.element_size() * tensor.nelement()
        for value in values
        for tensor in (getattr(value, field.name) for field in dataclasses.fields(value))  # type: ignore[arg-type]
        if isinstance(tensor, Tensor)
    }
    picture = 0 if prediction.image is None else prediction.image.nbytes
    return sum(tensors.values()) + prediction.labels.nbytes + prediction.confidence.nbytes + picture


def kind_of(error: BaseException) -> telemetry.ErrorKind:
    """What failed, for telemetry."""
    if isinstance(error, CheckpointError):
        return "checkpoint"
    return "memory" if isinstance(error, MemoryError | OutOfMemoryError) else "model"


def available_models() -> tuple[str, ...]:
    """The models whose checkpoints are there; none other is ever shown."""
    return tuple(name for name, spec in SPECS.items() if spec.checkpoint is not None)


_engine: Engine | None = None
_engine_lock = threading.Lock()


def engine() -> Engine:
    """The one engine of this process."""
    global _engine
    with _engine_lock:
        if _engine is None:
            _engine = Engine()
        return _engine
