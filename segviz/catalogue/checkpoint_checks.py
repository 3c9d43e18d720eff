"""Where a checkpoint is refused: damaged files, headers that are too long, and tensors that do not fit the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from segviz.text import plain_text

DIGEST_KEY = "segviz_weights"  # in the header: the SHA-256 of all bytes behind it
FLOATS, WHOLE = ("F16", "BF16", "F32", "F64"), ("I64",)  # safetensors' names of types
LENGTH = 8  # bytes at the start of a safetensors file that hold its header's length
MOST_HEADER = 4 * 1024**2  # bytes; our headers have some ten thousand
TENSORS_NAMED = 3  # tensor names in a message


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the cause."""


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Any]:
    """Open a safetensors file; whatever goes wrong becomes a `CheckpointError`.

    Raises:
        CheckpointError: the file is missing, unreadable or damaged.
    """
    try:
        if not path.exists():
            raise CheckpointError(f"there is no checkpoint {path}; train one with `python -m segviz train`")
        if not path.is_file():
            raise CheckpointError(f"{path} is not a file but a folder or a device; name the .safetensors file itself")
        check_header(path)
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        cause = plain_text(str(error))
        raise CheckpointError(f"{path} is not a whole safetensors file ({cause}); copy or train it again") from None
    except OSError as error:
        raise CheckpointError(
            f"{plain_text(str(path))} cannot be read ({error.strerror or error}); check its permissions and the disk"
        ) from None


def check_header(path: Path) -> None:
    """Check the length that a header claims before the header is read.

    Raises:
        SafetensorError: the header exceeds 4 MiB.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
    if length > MOST_HEADER:
        raise SafetensorError(f"its header claims {length:,} bytes; at most {MOST_HEADER:,} are read")


def check_weights(path: Path) -> None:
    """Compare a checkpoint's weights with the digest in its header; older checkpoints have no digest.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights have changed since they were written.
    """
    with open_checkpoint(path) as file:
        expected = (file.metadata() or {}).get(DIGEST_KEY)
    if expected is None:
        return
    data = path.read_bytes()
    if hashlib.sha256(data[weights_start(data) :]).hexdigest() != expected:
        raise CheckpointError(f"{path} is damaged: its weights are not those that were written; copy or train it again")


def weights_start(data: bytes) -> int:
    """Where the weights of a safetensors file begin, right behind its header."""
    return LENGTH + int.from_bytes(data[:LENGTH], "little")


def check_tensors(path: Path, file: Any, expected: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types in an open file's header with the expected tensors.

    Raises:
        CheckpointError: they differ.
    """
    names = set(file.keys())
    missing, extra = sorted(set(expected) - names), sorted(names - set(expected))
    if missing or extra:
        pairs = (("lacks", missing), ("has unexpected", extra))
        faults = [f"{verb} {name_first(tensors)}" for verb, tensors in pairs if tensors]
        raise CheckpointError(f"{path} does not fit its model: it {' and '.join(faults)}; train it again")
    for name, tensor in expected.items():
        stored = file.get_slice(name)
        if tuple(stored.get_shape()) != tensor.shape:
            raise CheckpointError(
                f"{path} does not fit its model: '{name}' has shape {tuple(stored.get_shape())}, expected "
                f"{tuple(tensor.shape)}; train it again"
            )
        kinds = FLOATS if tensor.is_floating_point() else WHOLE
        if stored.get_dtype() not in kinds:
            raise CheckpointError(
                f"{path}: '{name}' is stored as {stored.get_dtype()}, expected {' or '.join(kinds)}; convert it, or "
                "train it again"
            )


def name_first(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - TENSORS_NAMED} more" if len(names) > TENSORS_NAMED else ""
    return ", ".join(plain_text(repr(name), 80) for name in names[:TENSORS_NAMED]) + more


def read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read a checkpoint's tensors in the expected precision, after `check_tensors`.

    Raises:
        CheckpointError: a value is not finite.
    """
    with open_checkpoint(path) as file:
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in expected}
    weights = {name: value.to(expected[name].dtype) for name, value in tensors.items()}
    for name, value in weights.items():  # a finite float64 may overflow float32
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; train it again")
    return weights
