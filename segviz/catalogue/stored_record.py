"""The record in a checkpoint's header."""

from __future__ import annotations

from pathlib import Path

from segviz.catalogue.checkpoint_header import CheckpointError, CheckpointHeader, open_checkpoint, read_header
from segviz.catalogue.record import Record, from_json
from segviz.text import plain_text

RECORD_KEY = "segviz"  # in the header: the record


def read_record(path: Path) -> Record:
    """Read the record in a checkpoint's header, without its weights.

    Raises:
        CheckpointError: the file is missing or damaged, or has no sound record.
    """
    with open_checkpoint(path) as file:
        header = read_header(file)
    return record_in(path, header)


def record_in(path: Path, header: CheckpointHeader) -> Record:
    """The record in a header.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    stored = header.metadata.get(RECORD_KEY)
    if stored is None:
        raise CheckpointError(
            f"{path} has no segviz record, so its model is unknown; use a checkpoint that `python -m segviz train` "
            "wrote"
        )
    try:
        return from_json(stored)
    except ValueError as error:
        cause = plain_text(str(error))
        raise CheckpointError(f"{path} has a damaged segviz record ({cause}); copy or train it again") from None
