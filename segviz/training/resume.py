"""The state of an interrupted training, from which `--resume` continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from segviz.atomic_write import open_atomically
from segviz.data.dataset import DataError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Save what `--resume` needs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file:
        torch.save(state, file)


def remove_state(path: Path) -> None:
    """Remove the state of a finished run, and any part that a kill in the middle of saving left."""
    for leftover in (path, path.with_name(path.name + ".part")):
        leftover.unlink(missing_ok=True)


def read_state(path: Path, identity: str) -> dict[str, Any]:
    """Read the state of an interrupted run.

    Raises:
        DataError: there is no state, it is damaged, or it belongs to another run.
    """
    if not path.is_file():
        raise DataError(f"there is no {path} to resume from; start without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved = state["identity"]
    except Exception:  # torch raises whatever damaged bytes lead to
        raise DataError(f"{path} is damaged; delete it and start without --resume") from None
    if saved != identity:
        raise DataError(f"{path} belongs to a run with other options; repeat its command, or start without --resume")
    return state
