"""What the record of a segviz checkpoint says, where it is offered as a model of one's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from segviz.catalogue.checkpoint_file import CheckpointError, read_record
from segviz.catalogue.context_worth import context_worth
from segviz.catalogue.file_digest import State, describe_state
from segviz.catalogue.own_models import own_models
from segviz.catalogue.record import VAL, Record
from segviz.models.registry import NETWORK_NAMES, row_of
from segviz.results.sentences import title_data
from segviz.text import percent_text

MOST_RECORDS = 64


def own_record(name: str) -> Record | None:
    """The record of a model of one's own; None where it is no segviz checkpoint, or one that cannot be read."""
    entry = own_models().get(name)
    if entry is None or entry.weights or Path(entry.source).suffix != ".safetensors":
        return None
    path = Path(entry.source)
    try:
        return read_record_once(path, describe_state(path.stat()))
    except OSError:
        return None


@lru_cache(maxsize=MOST_RECORDS)
def read_record_once(path: Path, state: State) -> Record | None:
    """A file's record, read again when the file's state is another: every run of a page asks for it."""
    try:
        return read_record(path)
    except CheckpointError:  # also any other network's file; the engine says what is wrong with it
        return None


def network_title(model: str) -> str:
    """A network of a record for people: its row's title, or else its name."""
    return row_of(model).title if model in NETWORK_NAMES else model


def describe_record(record: Record) -> str:
    """The network, its training, its val score and what its context is worth, each as far as the record says it."""
    parts = [f"{network_title(record.model)} ({record.model})"]
    if record.data or record.steps:
        steps = f"{record.steps:,} {'step' if record.steps == 1 else 'steps'}"
        parts[0] += f", trained on {title_data(record.data) or 'unnamed data'} for {steps}"
    if record.val_miou is not None:
        scored = record.evaluations[VAL]
        parts.append(f"mIoU {percent_text(record.val_miou, 1)} on {title_data(scored.data)}, {scored.images} pictures")
    worth = context_worth(record)
    if worth is not None and worth.changes:
        parts.append(worth.sentence())
    return ". ".join(parts) + "."
