"""Where checkpoints are stored."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from segviz.catalogue.checkpoint_checks import CheckpointError as CheckpointError
from segviz.models.networks.rows import NETWORKS
from segviz.models.registry import MODELS
from segviz.settings import read_setting
from segviz.text import plain_text


def checkpoints_folder() -> Path:
    """The folder of the bundled checkpoints, or the folder in SEGVIZ_CHECKPOINTS."""
    folder: Path = read_setting("checkpoints")
    return folder


def bundled_path(name: str) -> Path:
    """The path of a model's bundled checkpoint."""
    return checkpoints_folder() / f"{name}.safetensors"


def checkpoint_path(model: str | Path) -> Path:
    """The path of a checkpoint, given a bundled model's name or any path.

    Raises:
        CheckpointError: it is neither a model's name nor a checkpoint file.
    """
    if str(model) in MODELS:
        return bundled_path(str(model))
    path = Path(model)
    with suppress(OSError):  # for example, the name is too long
        if path.suffix == ".safetensors" or path.exists():
            return path
    if str(model) in NETWORKS:
        raise CheckpointError(describe_untrained(str(model)))
    raise CheckpointError(
        f"'{plain_text(str(model), 80)}' is neither a model nor a checkpoint file; the models are {', '.join(MODELS)}"
    )


def describe_untrained(name: str) -> str:
    """Why a network of the papers cannot be opened by its name, and what to do."""
    return (
        f"'{name}' is a network of the papers, of which segviz has no trained weights; train it with `python -m segviz "
        f"train --model {name}`, and give the path of its checkpoint"
    )


def is_file(path: Path) -> bool:
    """Whether a path is a file; false for what cannot be a path."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False
