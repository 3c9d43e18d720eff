"""From a model's name to what runs it: the bundled models, and the networks of the catalogue."""

from __future__ import annotations

from typing import Any

from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.entry import CatalogueEntry, CatalogueError
from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.location import bundled_path
from segviz.catalogue.own_models import entry_identity, live_network, own_models
from segviz.models.registry import MODELS
from segviz.prediction.predictor import load_predictor
from segviz.runtime.blamed_line import name_line
from segviz.text import plain_text

CURE = "correct the source, or install what it needs, and start again"


def is_bundled(name: str) -> bool:
    """Whether a name is that of a bundled model, and no network of one's own has it."""
    return name in MODELS and name not in own_models()


def model_identity(name: str) -> str:
    """A digest that changes with the model's files.

    Raises:
        CheckpointError: there is no such model, or its file cannot be read.
        CatalogueError: a file of a network of one's own is missing.
    """
    own = own_models()
    if name in own:
        return entry_identity(own[name])
    if name not in MODELS:
        raise CheckpointError(f"'{name}' is not a model; the models are {', '.join((*MODELS, *own))}")
    path = bundled_path(name)
    try:
        return file_digest(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); restore it or train it again") from None


def open_model(name: str) -> Any:
    """The predictor of a bundled model, or of a network of the catalogue.

    Raises:
        CheckpointError: a checkpoint cannot be used.
        ValueError: a network of one's own cannot be opened; the message names the cause and the cure.
    """
    own = own_models()
    return open_catalogue_entry(own[name]) if name in own else load_predictor(name)


def open_catalogue_entry(entry: CatalogueEntry) -> Any:
    """The predictor of an entry.

    It is a NetworkPredictor; for a file of weights that its tensors tell, a PublishedPredictor; and for a checkpoint of
    segviz's own, a Predictor.

    Raises:
        ValueError: it cannot be opened.
    """
    from segviz.watch.load import open_predictor  # later: the bundled models need none of this

    network = live_network(entry.name)
    try:
        return open_predictor(
            entry.source if network is None else network,
            weights=entry.weights or None,
            classes=entry.classes,
            palette=entry.palette,
            mean=entry.mean,
            std=entry.std,
            size=entry.size,
            fit=entry.fit,
            assume=dict(entry.assume) or None,
            find_windows=entry.find_windows,
        )
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # whatever the code of other people raises
        cause = plain_text(str(error), 300) or "without a message"
        where = name_line(f"{type(error).__name__}: {cause}", error)
        raise CatalogueError(f"opening '{entry.source}' failed ({where}); {CURE}") from error
