"""Where a checkpoint is refused: weights that have changed, and tensors that do not fit the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
from torch import Tensor

from segviz.catalogue.checkpoint_header import CheckpointError as CheckpointError
from segviz.catalogue.checkpoint_header import (
    CheckpointHeader,
    StoredTensor,
    open_checkpoint,
    read_header,
    read_whole,
)
from segviz.catalogue.checkpoint_header import weights_start as weights_start
from segviz.text import plain_text

DIGEST_KEY = "segviz_weights"  # in the header: the SHA-256 of all bytes behind it
FLOATS, WHOLE = ("F16", "BF16", "F32", "F64"), ("I64",)  # safetensors' names of types
TENSORS_NAMED = 3  # tensor names in a message


def check_weights(path: Path, header: CheckpointHeader, data: bytes) -> None:
    """Compare a checkpoint's weights with the digest in its header; older checkpoints have no digest.

    Raises:
        CheckpointError: the weights have changed since they were written.
    """
    expected = header.metadata.get(DIGEST_KEY)
    if expected is not None and hashlib.sha256(memoryview(data)[len(header.data) :]).hexdigest() != expected:
        raise CheckpointError(f"{path} is damaged: its weights are not those that were written; copy or train it again")


def check_tensors(path: Path, stored: Mapping[str, StoredTensor], expected: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types in a header with the expected tensors.

    Raises:
        CheckpointError: they differ.
    """
    missing, extra = sorted(set(expected) - set(stored)), sorted(set(stored) - set(expected))
    if missing or extra:
        pairs = (("lacks", missing), ("has unexpected", extra))
        faults = [f"{verb} {name_first(tensors)}" for verb, tensors in pairs if tensors]
        raise CheckpointError(f"{path} does not fit its model: it {' and '.join(faults)}; train it again")
    for name, tensor in expected.items():
        if stored[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path} does not fit its model: '{name}' has shape {plain_text(str(stored[name].shape), 80)}, "
                f"expected {tuple(tensor.shape)}; train it again"
            )
        kinds = FLOATS if tensor.is_floating_point() else WHOLE
        if stored[name].dtype not in kinds:
            raise CheckpointError(
                f"{path}: '{name}' is stored as {plain_text(stored[name].dtype, 20)}, expected {' or '.join(kinds)}; "
                "convert it, or train it again"
            )


def name_first(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - TENSORS_NAMED} more" if len(names) > TENSORS_NAMED else ""
    return ", ".join(plain_text(repr(name), 80) for name in names[:TENSORS_NAMED]) + more


def read_tensors(path: Path) -> tuple[CheckpointHeader, dict[str, Tensor]]:
    """Read a safetensors file once: its header, and all of its tensors as they are stored.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights have changed since they were written.
    """
    with open_checkpoint(path) as file:
        header = read_header(file)
        data = read_whole(file, header)
        check_weights(path, header, data)
        return header, safetensors.torch.load(data)


def convert_weights(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a checkpoint's tensors to the expected precision, after `check_tensors`.

    Raises:
        CheckpointError: a value is not finite.
    """
    weights = {name: tensors[name].to(kind.dtype) for name, kind in expected.items()}
    for name, value in weights.items():  # a finite float64 may overflow float32
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; train it again")
    return weights
