"""Models on their way to replicas: a checkpoint travels as its content, any other network as its description."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Protocol

import ray

from segviz.atomic_write import write_atomically
from segviz.catalogue.location import bundled_path
from segviz.catalogue.own_models import live_network, own_models
from segviz.engine.errors import EngineError
from segviz.engine.open_model import model_identity, open_model
from segviz.models.registry import SPECS
from segviz.prediction.predictor import load_predictor

CONTENTS_KEPT = 32  # checkpoints whose content stays in the cluster's object store


class PortableModel(Protocol):
    """What a replica needs to open a model. It is pickled on its way."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def sha(self) -> str:
        """The digest that the app's process read of the model's files."""

    def open(self) -> Any:
        """The predictor, in the replica's process."""


class ModelSource(Protocol):
    """The models as the app's process sees them."""

    def identity(self, name: str) -> str:
        """A digest that changes with the model's files."""

    def portable(self, name: str, sha: str) -> PortableModel:
        """The model of this digest, to send to a replica."""


@dataclass(frozen=True)
class CheckpointContent:
    """A checkpoint's bytes in the cluster's object store.

    Attributes:
        name: the model's name.
        sha: SHA-256 of the bytes.
        content: where they are.
    """

    name: str
    sha: str
    content: ray.ObjectRef

    def open(self) -> Any:
        """The predictor of the bytes; a replica's machine keeps them in a file that is named after their digest."""
        path = Path(gettempdir()) / "segviz-checkpoints" / self.sha / f"{self.name}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, ray.get(self.content))
        return load_predictor(path)


@dataclass(frozen=True)
class CatalogueModel:
    """A network of one's own, opened where the replica runs: its files must lie there too, under the same path."""

    name: str
    sha: str

    def open(self) -> Any:
        """The predictor.

        Raises:
            EngineError: the replica's machine has other files, or none.
        """
        if model_identity(self.name) != self.sha:
            raise EngineError(f"'{self.name}' has other files on the machine of a replica; put the same ones there")
        return open_model(self.name)


class FileModels:
    """The bundled models and the networks of the catalogue. Any thread may call it."""

    def __init__(self) -> None:
        self._contents: OrderedDict[str, CheckpointContent] = OrderedDict()
        self._lock = threading.Lock()

    def identity(self, name: str) -> str:
        """See `model_identity`."""
        return model_identity(name)

    def portable(self, name: str, sha: str) -> PortableModel:
        """The model of this digest, to send to a replica.

        Raises:
            EngineError: the network lives in the app's process only.
        """
        if name not in SPECS or name in own_models():
            if live_network(name) is not None:
                raise EngineError(
                    f"'{name}' is an object of the app's own process, so no replica can open it; give a file and a "
                    "function ('net.py:build'), or use SEGVIZ_BACKEND=threads"
                )
            return CatalogueModel(name, sha)
        with self._lock:
            if sha not in self._contents:
                self._contents[sha] = CheckpointContent(name, sha, ray.put(bundled_path(name).read_bytes()))
                while len(self._contents) > CONTENTS_KEPT:
                    self._contents.popitem(last=False)
            return self._contents[sha]

    def forget(self) -> None:
        """Forget where contents are, because the cluster is another one now."""
        with self._lock:
            self._contents.clear()
