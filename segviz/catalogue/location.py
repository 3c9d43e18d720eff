"""Where checkpoints lie."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from segviz.catalogue.checkpoint_checks import CheckpointError as CheckpointError
from segviz.models.registry import SPECS
from segviz.settings import read_setting
from segviz.text import plain_text


def checkpoints_folder() -> Path:
    """The folder of the bundled checkpoints, or the one that SEGVIZ_CHECKPOINTS names."""
    folder: Path = read_setting("checkpoints")
    return folder


def bundled_path(name: str) -> Path:
    """The bundled checkpoint of a model."""
    return checkpoints_folder() / f"{name}.safetensors"


def checkpoint_path(model: str | Path) -> Path:
    """The bundled checkpoint of a model's name, or any other by its path.

    Raises:
        CheckpointError: it is neither a model's name nor a file.
    """
    if str(model) in SPECS:
        return bundled_path(str(model))
    path = Path(model)
    with suppress(OSError):  # such as too long a name
        if path.suffix == ".safetensors" or path.exists():
            return path
    raise CheckpointError(
        f"'{plain_text(str(model), 80)}' is neither a model nor a checkpoint's file; the models are {', '.join(SPECS)}"
    )
