"""Checkpoints: safetensors in float16 with the record of how they were made; loaded weights only, and checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn
from torch.overrides import TorchFunctionMode

from segviz.atomic_write import write_atomically
from segviz.catalogue.checkpoint_checks import LENGTH, check_tensors, open_checkpoint, read_weights
from segviz.catalogue.checkpoint_checks import CheckpointError as CheckpointError
from segviz.catalogue.location import bundled_path
from segviz.catalogue.record import Record, from_json, to_json
from segviz.models.registry import SPECS, build
from segviz.models.segmenter import Segmenter
from segviz.text import plain

KEY, WEIGHTS = "segviz", "segviz_weights"  # in the header: the record, and the SHA-256 of all bytes behind the header


def write_checkpoint(path: Path, model: nn.Module, record: Record) -> None:
    """Save a model's weights in float16 and its record, by way of a temporary file, so never half.

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
    write_atomically(path, with_record(save(tensors, {}), record))


def rewrite_record(path: Path, record: Record) -> None:
    """Put another record into a checkpoint; its tensors stay as they are, byte for byte.

    Raises:
        CheckpointError: the file is missing or damaged, or the record is of another model.
    """
    before = read_record(path)
    if (record.model, record.classes) != (before.model, before.classes):
        raise CheckpointError(
            f"{path} holds a '{before.model}' model of {len(before.classes)} classes, the record is of a "
            f"'{record.model}' of {len(record.classes)}; record each model in its own file"
        )
    check_weights(path)
    write_atomically(path, with_record(path.read_bytes(), record))


def with_record(data: bytes, record: Record) -> bytes:
    """The bytes of a safetensors file with a record, and a digest of its weights, in its header."""
    start = weights_start(data)
    header = json.loads(data[LENGTH:start])
    digest = hashlib.sha256(data[start:]).hexdigest()
    header["__metadata__"] = {**header.get("__metadata__", {}), KEY: to_json(record), WEIGHTS: digest}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH)  # the format wants the tensors aligned
    return len(text).to_bytes(LENGTH, "little") + text + data[start:]


def weights_start(data: bytes) -> int:
    """Where the header of a safetensors file ends."""
    return LENGTH + int.from_bytes(data[:LENGTH], "little")


def check_weights(path: Path) -> None:
    """Compare a checkpoint's weights with the digest in its header, which older ones do not have.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights are not those that were written.
    """
    with open_checkpoint(path) as file:
        expected = (file.metadata() or {}).get(WEIGHTS)
    if expected is None:
        return
    data = path.read_bytes()
    if hashlib.sha256(data[weights_start(data) :]).hexdigest() != expected:
        raise CheckpointError(f"{path} is damaged: its weights are not those that were written; copy or train it again")


def read_record(path: Path) -> Record:
    """The record in a checkpoint's header, without reading its weights.

    Raises:
        CheckpointError: the file is missing, damaged, or has no sound record.
    """
    with open_checkpoint(path) as file:
        stored = (file.metadata() or {}).get(KEY)
    if stored is None:
        raise CheckpointError(
            f"{path} has no segviz record, so its model is not known; use a checkpoint that `python -m segviz train` "
            "wrote"
        )
    try:
        return from_json(stored)
    except ValueError as error:
        cause = plain(str(error))
        raise CheckpointError(f"{path} has a damaged segviz record ({cause}); copy or train it again") from None


def load_checkpoint(path: Path) -> tuple[Segmenter, Record]:
    """The model of a checkpoint, in eval mode and float32, and its record.

    Everything is checked before the model is made, so a file that does not fit costs no memory.

    Raises:
        CheckpointError: the file is damaged, its model unknown or another than its bundled name says, or its
            tensors are not just the model's.
    """
    record, skeleton = examine_checkpoint(path)
    check_weights(path)
    weights = read_weights(path, skeleton.state_dict())
    model = build(record.model, len(record.classes), record.backbone, record.output_stride)
    model.load_state_dict(weights)
    return model.eval().to(memory_format=torch.channels_last), record


class Unfilled(TorchFunctionMode):
    """Parameters are left as they are allocated: on the meta device there is nothing to fill, nor to normalize.

    There both would import torch's compiler, with 150 MiB that nobody uses.
    """

    def __torch_function__(
        self, function: Any, types: Any, given: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        """The tensor itself of what would only change its values, and what any other function makes."""
        named = options or {}
        if function is F.normalize or getattr(function, "__module__", None) == nn.init.__name__:
            return (*given, *named.values())[0]
        return function(*given, **named)


def examine_checkpoint(path: Path) -> tuple[Record, Segmenter]:
    """The record of a checkpoint and its model without memory (on torch's meta device); the header fits both.

    Raises:
        CheckpointError: as `load`, but for values that are not finite.
    """
    record = read_record(path)
    if path.stem in SPECS and path == bundled_path(path.stem):
        require_model(path, record, path.stem)
    if record.model not in SPECS:
        raise CheckpointError(f"{path} holds a {short(record.model)} model; known are {', '.join(SPECS)}")
    try:
        with torch.device("meta"), Unfilled():
            skeleton = build(record.model, len(record.classes), record.backbone, record.output_stride)
    except Exception as error:  # timm raises whatever its networks raise
        raise CheckpointError(
            f"{path} holds a network that cannot be built: backbone {short(record.backbone)} at output stride "
            f"{plain(str(record.output_stride), 20)} ({plain(first_line(error))}); update timm, or train it again"
        ) from None
    with open_checkpoint(path) as file:
        check_tensors(path, file, skeleton.state_dict())
    return record, skeleton


def require_model(path: Path, record: Record, name: str) -> None:
    """Hold a bundled file to its name.

    Raises:
        CheckpointError: it holds another model.
    """
    if record.model != name:
        raise CheckpointError(
            f"{path} holds a {short(record.model)} model, not {name!r}; put {name!r} back, or name the file otherwise "
            "and load it by its path"
        )


def short(name: str) -> str:
    """A name from a file, in quotes and not too long."""
    return plain(repr(name), 80)


def first_line(error: Exception) -> str:
    """An error's first line, or its type's name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
