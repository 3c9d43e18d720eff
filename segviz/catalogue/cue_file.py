"""Files of the Cues page's tiny networks: safetensors in float16 with their records, one for each block and kind."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
import torch

from segviz.atomic_write import write_atomically
from segviz.catalogue.checkpoint_checks import (
    DIGEST_KEY,
    CheckpointError,
    check_tensors,
    check_weights,
    convert_weights,
)
from segviz.catalogue.checkpoint_header import CheckpointHeader, open_checkpoint, read_header, read_whole
from segviz.catalogue.cue_record import CueRecord
from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.unfilled import Unfilled
from segviz.models.cue_network import CUE_BLOCKS, CueNetwork
from segviz.text import plain_text

CUE_RECORD_KEY = "segviz_cues"  # in the header


def cue_path(block: str, kind: str, folder: Path | None = None) -> Path:
    """The path of a network; by default beside the bundled checkpoints."""
    return (folder or checkpoints_folder() / "cues") / f"{kind}-{block}.safetensors"


def write_cue_network(path: Path, network: CueNetwork, record: CueRecord) -> None:
    """Write a network's weights in float16 and its record, whole or not at all."""
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    weights = safetensors.torch.save(tensors)
    body = weights[8 + int.from_bytes(weights[:8], "little") :]
    metadata = {CUE_RECORD_KEY: record.to_json(), DIGEST_KEY: hashlib.sha256(body).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def read_cue_record(path: Path) -> CueRecord:
    """Read the record in a file's header.

    Raises:
        CheckpointError: the file is missing or damaged, or has no sound record.
    """
    with open_checkpoint(path) as file:
        return record_of(path, read_header(file))


def read_cue_network(path: Path) -> tuple[CueNetwork, CueRecord]:
    """Read a network, in eval mode, and its record.

    Raises:
        CheckpointError: the file is missing or damaged, or does not fit its network.
    """
    with open_checkpoint(path) as file:
        header = read_header(file)
        record = record_of(path, header)
        with torch.device("meta"), Unfilled():
            expected = CueNetwork(record.block, len(record.classes)).state_dict()
        check_tensors(path, header.tensors, expected)
        data = read_whole(file, header)
        check_weights(path, header, data)
        weights = convert_weights(path, safetensors.torch.load(data), expected)
    network = CueNetwork(record.block, len(record.classes))
    network.load_state_dict(weights)
    return network.eval(), record


def record_of(path: Path, header: CheckpointHeader) -> CueRecord:
    """The record in a header.

    Raises:
        CheckpointError: there is none, it is damaged, or its block is unknown.
    """
    cure = "restore it, or train it again with `python -m segviz train-cues`"
    stored = header.metadata.get(CUE_RECORD_KEY)
    if stored is None:
        raise CheckpointError(f"{path} is not a network of cue scenes; {cure}")
    try:
        record = CueRecord.from_json(stored)
    except ValueError as error:
        raise CheckpointError(f"{path} has a damaged record ({plain_text(str(error))}); {cure}") from None
    if record.block not in CUE_BLOCKS:
        raise CheckpointError(f"{path} has the unknown block {plain_text(repr(record.block), 80)}; {cure}")
    return record
