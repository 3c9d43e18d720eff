"""Models on their way to replicas: a checkpoint travels as its content, any other network as its description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from segviz.catalogue.location import bundled_path
from segviz.catalogue.own_models import live_network
from segviz.cluster.messages import FileContent
from segviz.engine.errors import EngineError
from segviz.engine.open_model import is_bundled, model_identity, open_model
from segviz.prediction.predictor import load_predictor


class PortableModel(Protocol):
    """What a replica needs to open a model. It is pickled on its way."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def sha(self) -> str:
        """The digest that the app's process read of the model's files."""

    @property
    def content(self) -> FileContent | None:
        """The file whose content travels along."""

    def open(self, fetch: Callable[[], bytes]) -> Any:
        """The predictor, in the replica's process.

        Args:
            fetch: gives the content of the file.
        """


class ModelSource(Protocol):
    """The models as the app's process sees them."""

    def identity(self, name: str) -> str:
        """A digest that changes with the model's files."""

    def portable(self, name: str, sha: str) -> PortableModel:
        """The model of this digest, to send to a replica."""


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint on the app's machine.

    Attributes:
        name: the model's name.
        sha: SHA-256 of the file.
        path: where it lies.
    """

    name: str
    sha: str
    path: Path

    @property
    def content(self) -> FileContent:
        """The file itself."""
        return FileContent(self.path, self.sha)

    def open(self, fetch: Callable[[], bytes]) -> Any:
        """The predictor of the bytes, which are a file on the replica's machine only while they are read."""
        with TemporaryDirectory(prefix="segviz-") as folder:
            path = Path(folder) / f"{self.name}.safetensors"
            path.write_bytes(fetch())
            return load_predictor(path)


@dataclass(frozen=True)
class CatalogueModel:
    """A network of one's own, opened where the replica runs: its files must lie there too, under the same path."""

    name: str
    sha: str

    @property
    def content(self) -> None:
        """No file goes along."""
        return None

    def open(self, fetch: Callable[[], bytes]) -> Any:
        """The predictor.

        Raises:
            EngineError: the replica's machine has other files, or none.
        """
        if model_identity(self.name) != self.sha:
            raise EngineError(
                f"a replica's machine has other files for '{self.name}'; copy those of the app's machine there"
            )
        return open_model(self.name)


class FileModels:
    """The bundled models and the networks of the catalogue. Any thread may call it."""

    def identity(self, name: str) -> str:
        """See `model_identity`."""
        return model_identity(name)

    def portable(self, name: str, sha: str) -> PortableModel:
        """The model of this digest, to send to a replica.

        Raises:
            EngineError: the network lives in the app's process only.
        """
        if is_bundled(name):
            return CheckpointFile(name, sha, bundled_path(name))
        if live_network(name) is not None:
            raise EngineError(
                f"'{name}' is an object of the app's own process, so no replica can open it; give a file and a "
                "function ('net.py:build'), or use SEGVIZ_BACKEND=threads"
            )
        return CatalogueModel(name, sha)
