"""What an interrupted training leaves behind to go on from, and the log that it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from segviz.atomic_write import open_atomically
from segviz.data.dataset import DataError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Keep all that `--resume` needs: written, synced, then renamed, so never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file:
        torch.save(state, file)


def remove_state(path: Path) -> None:
    """The run is done: remove its state, and what a kill in the middle of saving it may have left."""
    for one in (path, path.with_name(path.name + ".part")):
        one.unlink(missing_ok=True)


def read_state(path: Path, identity: str) -> dict[str, Any]:
    """The state of an interrupted run.

    Raises:
        DataError: there is nothing to resume, it is damaged, or it was another run.
    """
    if not path.is_file():
        raise DataError(f"there is no {path} to resume from; start without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved = state["identity"]
    except Exception:  # torch raises whatever damaged bytes lead to
        raise DataError(f"{path} is damaged; delete it and start without --resume") from None
    if saved != identity:
        raise DataError(f"{path} is of a run with other options; repeat its command, or start without --resume")
    return state
