"""The state of an interrupted training, from which `--resume` continues."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segviz.atomic_write import open_atomically
from segviz.catalogue.checkpoint_file import read_record
from segviz.data.sample import DataError
from segviz.text import count_words


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Save what `--resume` needs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file:
        torch.save(state, file)


def remove_state(path: Path) -> None:
    """Remove the state of a finished run, and any part that a kill in the middle of saving left."""
    for leftover in (path, path.with_name(path.name + ".part")):
        leftover.unlink(missing_ok=True)


def check_output(out: Path, state: Path, resume: bool, overwrite: bool) -> None:
    """Check that a training replaces neither a checkpoint nor a state unasked, and resumes none that has ended.

    Args:
        out: the checkpoint that it writes.
        state: the state of an interrupted run.
        resume: whether the run shall go on.
        overwrite: whether the checkpoint and the state may be replaced.

    Raises:
        DataError: it does; the message names the cure.
        CheckpointError: the checkpoint of a run to resume is damaged.
    """
    if state.is_file():
        if not resume and not overwrite:
            raise DataError(
                f"{state} is the state of an interrupted run; go on with --resume, give another --out, or --overwrite "
                "to replace it"
            )
        if resume:
            return
    if not out.is_file():
        return
    if resume:
        steps = read_record(out).steps
        raise DataError(
            f"the run is finished: {out} has it, after {count_words(steps, 'step')}; to train again, remove "
            "--resume and give another --out, or --overwrite"
        )
    if not overwrite:
        raise DataError(f"{out} exists already; give another --out, or --overwrite to replace it")


def read_state(path: Path, identity: Mapping[str, str]) -> dict[str, Any]:
    """Read the state of an interrupted run.

    Args:
        path: the state.
        identity: the options that the run must share with it (`TrainOptions.identity`).

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
        changed = describe_changes(saved, identity) if isinstance(saved, dict) else ""
        raise DataError(
            f"{path} belongs to a run with other options{changed}; repeat its command, or start again with --overwrite "
            "in place of --resume"
        )
    return state


def describe_changes(saved: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The options in which two runs differ, in brackets: what the interrupted one had, and what is given now."""
    names = [name for name in now if saved.get(name) != now[name]]
    told = [f"{name.replace('_', '-')}: {saved.get(name, 'none')}, now {now[name]}" for name in names]
    return f" ({'; '.join(told)})" if told else ""
