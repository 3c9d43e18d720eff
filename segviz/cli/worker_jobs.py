"""What workers in a cluster do for a command: open the model of its options, then work on what they are sent.

A job is pickled on its way to the workers. Nothing here imports Ray.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from segviz.atomic_write import write_atomically
from segviz.batch.inputs import PackedPicture
from segviz.batch.run import PictureOutcome, WorkOnPicture, make_outcome
from segviz.catalogue.entry import CatalogueEntry, CatalogueError
from segviz.catalogue.location import checkpoint_path
from segviz.catalogue.own_models import describe_files, own_files
from segviz.cli.open_to_score import open_to_score
from segviz.data.sample import Sample
from segviz.evaluation.evaluate import SampleCounts, SampleScorer
from segviz.evaluation.map_numbers import random_block
from segviz.evaluation.protocols import ScoringProtocol
from segviz.prediction.predictor import load_predictor
from segviz.watch.load import is_own_checkpoint

MODEL_NAME = "model.safetensors"


@dataclass(frozen=True)
class PortableFiles:
    """The files of `--model` on their way: a segviz checkpoint as its content, any other network by its paths.

    Attributes:
        digest: SHA-256 of the checkpoint, or a digest of the files that the options name.
        content: the checkpoint's bytes; None for another network.
        folder: where the command runs: paths are relative to it.
    """

    digest: str
    content: bytes | None
    folder: str

    @contextmanager
    def lay_out(self, options: argparse.Namespace) -> Iterator[argparse.Namespace]:
        """The command's options, with a model that can be opened in this process.

        Raises:
            CatalogueError: the network's files are not the same here.
        """
        if self.content is None:
            with suppress(OSError):  # a machine without this folder may still have what the options name
                os.chdir(self.folder)
            if digest_network(options) != self.digest:
                raise CatalogueError(
                    f"a worker's machine has other files for '{options.model}'; copy those of this machine "
                    "there, to the same path"
                )
            yield options
            return
        if sha256(self.content).hexdigest() != self.digest:
            raise CatalogueError("the checkpoint was damaged on its way to a worker; run the command again")
        with tempfile.TemporaryDirectory(prefix="segviz-") as folder:
            path = Path(folder) / MODEL_NAME
            write_atomically(path, self.content)
            yield argparse.Namespace(**{**vars(options), "model": str(path)})


def pack_model(options: argparse.Namespace, path: Path | None = None) -> PortableFiles:
    """What workers need to open the network of `--model`, or a checkpoint.

    Raises:
        CheckpointError: a checkpoint is missing or damaged.
        CatalogueError: a file is missing.
        OSError: a file cannot be read.
    """
    folder = str(Path.cwd())
    if path is not None or is_own_checkpoint(options.model):
        content = (path or checkpoint_path(options.model)).read_bytes()
        return PortableFiles(sha256(content).hexdigest(), content, folder)
    return PortableFiles(digest_network(options), None, folder)


def digest_network(options: argparse.Namespace) -> str:
    """A digest of the files that `--model` and `--weights` name; a name of a package or a hub stands for itself.

    Raises:
        CatalogueError: a file is missing or cannot be read.
    """
    entry = CatalogueEntry("network", "", options.model, options.weights or "")
    parts = [options.model, *(describe_files(options.model, path, contents=True) for path in own_files(entry))]
    return sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class PictureJob:
    """Pictures to files.

    Attributes:
        options: of the command.
        model: its network.
        open_work: a function of a module: opens the network of options, and returns what works on a picture.
    """

    options: argparse.Namespace
    model: PortableFiles
    open_work: Callable[[argparse.Namespace], WorkOnPicture]

    def open(self) -> OpenPictureJob:
        """Open the network in this process."""
        notes = io.StringIO()
        with redirect_stderr(notes), self.model.lay_out(self.options) as options:
            return OpenPictureJob(self.open_work(options), notes.getvalue())


@dataclass(frozen=True)
class OpenPictureJob:
    """A `PictureJob` that is ready."""

    work: WorkOnPicture
    notes: str

    def run(self, task: PackedPicture) -> PictureOutcome:
        """The files of a picture, or its problem."""
        return make_outcome(self.work, task.unpack())


@dataclass(frozen=True)
class ScoreJob:
    """Labelled pictures to counts.

    Attributes:
        options: of the command.
        model: its network.
        classes: how many it has.
        protocols: those to score by, by name, for each set of pictures by its name.
        maps: whether the maps are measured too, which a checkpoint has.
    """

    options: argparse.Namespace
    model: PortableFiles
    classes: int
    protocols: Mapping[str, Mapping[str, ScoringProtocol]]
    maps: bool

    def open(self) -> OpenScoreJob:
        """Open the network in this process."""
        with redirect_stderr(io.StringIO()), self.model.lay_out(self.options) as options:  # the command has said it all
            network: Any
            other = None
            if self.model.content is not None:
                predictor = load_predictor(options.model, options.device)
                network, record = predictor.model, predictor.record
                other = random_block(network, record.model, record.options) if self.maps else None
            else:
                network = open_to_score(options).network
        scorers = {
            name: SampleScorer(network, protocols, self.classes, other) for name, protocols in self.protocols.items()
        }
        return OpenScoreJob(scorers)


@dataclass(frozen=True)
class OpenScoreJob:
    """A `ScoreJob` that is ready."""

    scorers: Mapping[str, SampleScorer]
    notes: str = ""

    def run(self, task: tuple[str, Sample]) -> SampleCounts:
        """The counts of a sample of a set."""
        name, sample = task
        return self.scorers[name](sample)
