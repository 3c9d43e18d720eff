"""Checkpoints: safetensors in float16 with the record of how they were made; loaded weights only, and checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from segviz.models.registry import CHECKPOINTS, SPECS, build
from segviz.models.segmenter import Segmenter
from segviz.record import Record, from_json, to_json

KEY = "segviz"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the cause."""


def bundled_path(name: str) -> Path:
    """The bundled checkpoint of a model."""
    return CHECKPOINTS / f"{name}.safetensors"


def write(path: Path, model: nn.Module, record: Record) -> None:
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
    data = save(tensors, {KEY: to_json(record)})
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, data)


def replace(path: Path, data: bytes) -> None:
    """Write, sync, rename: a reader sees the old file or the new one, whole."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_record(path: Path) -> Record:
    """The record in a checkpoint's header, without reading its weights.

    Raises:
        CheckpointError: the file is missing, damaged, or has no record.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; train one with `python -m segviz train`")
    try:
        with safe_open(path, "pt") as file:
            return from_json((file.metadata() or {})[KEY])
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole safetensors file ({error}); copy or train it again") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CheckpointError(f"{path} has no segviz record; write it with segviz.checkpoint.write") from None


def load(path: Path) -> tuple[Segmenter, Record]:
    """The model of a checkpoint, in eval mode and float32, and its record.

    Raises:
        CheckpointError: the file is damaged, its model unknown, or its tensors are not just the model's.
    """
    record = read_record(path)
    if record.model not in SPECS:
        raise CheckpointError(f"{path} holds a '{record.model}' model; known are {', '.join(SPECS)}")
    model = build(record.model, len(record.classes), record.backbone, record.output_stride)
    model.load_state_dict(read_weights(path, model.state_dict()))
    return model.eval().to(memory_format=torch.channels_last), record


def read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint's tensors in the expected precision.

    Raises:
        CheckpointError: names or shapes differ from the expected ones, or a value is not finite.
    """
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        missing, extra = sorted(set(expected) - names), sorted(names - set(expected))
        if missing or extra:
            raise CheckpointError(f"{path} does not fit its model: missing {missing[:3]}, unexpected {extra[:3]}")
        tensors = {name: file.get_tensor(name) for name in expected}
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise CheckpointError(
                f"{path}: '{name}' has shape {tuple(value.shape)}, expected {tuple(expected[name].shape)}"
            )
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; train it again")
    return {name: value.to(expected[name].dtype) for name, value in tensors.items()}


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
