"""The tensors of a safetensors file: opened, held to the expected ones by the header alone, and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from segviz.text import plain

FLOATS, WHOLE = ("F16", "BF16", "F32", "F64"), ("I64",)  # safetensors' names of types
LENGTH = 8  # bytes at a safetensors file's start that hold its header's length
MOST_HEADER = 4 * 1024**2  # bytes; ours have some ten thousand
TENSORS_NAMED = 3  # tensor names in a message


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the cause."""


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Any]:
    """A safetensors file, its failures as sentences.

    Raises:
        CheckpointError: there is no such file, it cannot be read, or it is damaged.
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
        cause = plain(str(error))
        raise CheckpointError(f"{path} is not a whole safetensors file ({cause}); copy or train it again") from None
    except OSError as error:
        raise CheckpointError(
            f"{plain(str(path))} cannot be read ({error.strerror or error}); check its permissions and the disk"
        ) from None


def check_header(path: Path) -> None:
    """Look at how long a header says that it is, before all of it is read.

    Raises:
        SafetensorError: longer than any honest one.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
    if length > MOST_HEADER:
        raise SafetensorError(f"its header would have {length:,} bytes, at most {MOST_HEADER:,} are read")


def check_tensors(path: Path, file: Any, expected: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types in an open file's header with the expected tensors.

    Raises:
        CheckpointError: they differ.
    """
    names = set(file.keys())
    missing, extra = sorted(set(expected) - names), sorted(names - set(expected))
    if missing or extra:
        told = [
            f"{word} {name_first(found)}" for word, found in (("lacks", missing), ("has unexpected", extra)) if found
        ]
        raise CheckpointError(f"{path} does not fit its model: it {' and '.join(told)}; train it again")
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
    return ", ".join(plain(repr(name), 80) for name in names[:TENSORS_NAMED]) + more


def read_weights(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint's tensors in the expected precision; names and shapes were checked before.

    Raises:
        CheckpointError: a value is not finite.
    """
    with open_checkpoint(path) as file:
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in expected}
    weights = {name: value.to(expected[name].dtype) for name, value in tensors.items()}
    for name, value in weights.items():  # a finite float64 may be beyond float32
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(f"{path}: '{name}' holds values that are not finite; train it again")
    return weights
