"""Checkpoint files: safetensors in float16, with the record of how they were made; checked whenever they are read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from segviz.atomic_write import write_atomically
from segviz.catalogue.checkpoint_checks import DIGEST_KEY, check_tensors, check_weights, convert_weights
from segviz.catalogue.checkpoint_header import (
    LENGTH,
    METADATA,
    CheckpointHeader,
    open_checkpoint,
    read_header,
    read_whole,
    weights_start,
)
from segviz.catalogue.checkpoint_header import CheckpointError as CheckpointError
from segviz.catalogue.location import bundled_path
from segviz.catalogue.record import Record, to_json
from segviz.catalogue.stored_record import RECORD_KEY as RECORD_KEY
from segviz.catalogue.stored_record import read_record as read_record
from segviz.catalogue.stored_record import record_in
from segviz.catalogue.unfilled import Unfilled
from segviz.models.options import NetworkOptionError
from segviz.models.registry import MODELS, NETWORK_NAMES, build
from segviz.models.segmenter import BlockNetwork
from segviz.text import plain_text


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint whose bytes were read once, so that record, digest and model belong together.

    Attributes:
        path: the file.
        record: the record in its header.
        model: the network in eval mode, channels last in memory.
        data: the file's bytes.
    """

    path: Path
    record: Record
    model: BlockNetwork
    data: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def write_checkpoint(path: Path, model: nn.Module, record: Record) -> None:
    """Write a model's weights in float16 and its record, whole or not at all.

    Raises:
        CheckpointError: a weight is not finite in float16.
    """
    tensors = {}
    for name, value in model.state_dict().items():
        stored = value.detach().cpu().contiguous()
        tensors[name] = stored.half() if stored.is_floating_point() else stored
        if stored.is_floating_point() and not tensors[name].isfinite().all():
            raise CheckpointError(
                f"{path}: weight '{name}' is not finite in float16; train with a smaller learning rate"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, put_record(safetensors.torch.save(tensors, {}), record))


def rewrite_record(path: Path, record: Record) -> None:
    """Put another record into a checkpoint; its tensors stay the same, byte for byte.

    Raises:
        CheckpointError: the file is missing or damaged, or the record belongs to another model.
    """
    with open_checkpoint(path) as file:
        header = read_header(file)
        data = read_whole(file, header)
    before = record_in(path, header)
    if (record.model, record.classes) != (before.model, before.classes):
        raise CheckpointError(
            f"{path} holds a '{before.model}' model of {len(before.classes)} classes, but the record is for a "
            f"'{record.model}' of {len(record.classes)}; record each model in its own file"
        )
    if record.options != before.options:
        raise CheckpointError(
            f"{path} holds a network with other options than the record's; record each network in its own file"
        )
    check_weights(path, header, data)
    write_atomically(path, put_record(data, record))


def replace_record(checkpoint: Checkpoint, record: Record) -> None:
    """Write a checkpoint that was read before, with another record of the same model."""
    write_atomically(checkpoint.path, put_record(checkpoint.data, record))


def put_record(data: bytes, record: Record) -> bytes:
    """The bytes of a safetensors file, its header now with the record and a digest of the weights."""
    start = weights_start(data)
    header = json.loads(data[LENGTH:start])
    digest = hashlib.sha256(data[start:]).hexdigest()
    header[METADATA] = {**header.get(METADATA, {}), RECORD_KEY: to_json(record), DIGEST_KEY: digest}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH)  # the format wants the tensors aligned
    return len(text).to_bytes(LENGTH, "little") + text + data[start:]


def load_checkpoint(path: Path) -> tuple[BlockNetwork, Record]:
    """Load a model in eval mode, channels last in memory, and its record; see `read_checkpoint`."""
    checkpoint = read_checkpoint(path)
    return checkpoint.model, checkpoint.record


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, each of its bytes once.

    A header that does not fit is refused before the weights take any memory.

    Raises:
        CheckpointError: the file is damaged, its model is unknown or not the one that its bundled name promises, or
            its tensors are not exactly the model's.
    """
    with open_checkpoint(path) as file:
        header = read_header(file)
        record, skeleton = examine_header(path, header)
        data = read_whole(file, header)
        check_weights(path, header, data)
        weights = convert_weights(path, safetensors.torch.load(data), skeleton.state_dict())
    model = build_recorded(record)
    model.load_state_dict(weights)
    return Checkpoint(path, record, model.eval().to(memory_format=torch.channels_last), data)


def examine_checkpoint(path: Path) -> tuple[Record, BlockNetwork]:
    """Check a checkpoint's header; return its record and its model on torch's meta device, which takes no memory.

    Raises:
        CheckpointError: as in `load_checkpoint`, except that the weights' values are not checked.
    """
    with open_checkpoint(path) as file:
        header = read_header(file)
    return examine_header(path, header)


def examine_header(path: Path, header: CheckpointHeader) -> tuple[Record, BlockNetwork]:
    """As `examine_checkpoint`, for a header that was read before.

    Raises:
        CheckpointError: as in `examine_checkpoint`.
    """
    record = record_in(path, header)
    if path.stem in MODELS and path == bundled_path(path.stem):
        require_model(path, record, path.stem)
    if record.model not in NETWORK_NAMES:
        raise CheckpointError(
            f"{path} holds a {quote_name(record.model)} model; known are {', '.join(MODELS)}, and those that "
            "`python -m segviz models --networks` lists"
        )
    try:
        with torch.device("meta"), Unfilled():
            skeleton = build_recorded(record)
    except NetworkOptionError as error:
        raise CheckpointError(
            f"{path} holds a network that cannot be built: {error}; update segviz, or train it again"
        ) from None
    except Exception as error:  # timm raises whatever its networks raise
        raise CheckpointError(
            f"{path} holds a network that cannot be built: backbone {quote_name(record.backbone)} at output stride "
            f"{plain_text(str(record.output_stride), 20)} ({plain_text(first_line(error))}); update timm, or train it "
            "again"
        ) from None
    check_tensors(path, header.tensors, skeleton.state_dict())
    return record, skeleton


def build_recorded(record: Record) -> BlockNetwork:
    """The network that a record describes, with random weights."""
    return build(record.model, len(record.classes), record.backbone, record.output_stride, record.options)


def require_model(path: Path, record: Record, name: str) -> None:
    """Check that a bundled file holds the model that it is named after.

    Raises:
        CheckpointError: it holds another model.
    """
    if record.model != name:
        raise CheckpointError(
            f"{path} holds a {quote_name(record.model)} model, not {name!r}; put {name!r} back, or rename the file "
            "and load it by its path"
        )


def quote_name(name: str) -> str:
    """A name from a file, in quotes and cut short."""
    return plain_text(repr(name), 80)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type's name if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
