"""The header of a safetensors file, read without mapping the file: a map kills the process when the file shrinks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from segviz.text import plain_text

METADATA = "__metadata__"  # the key of the texts that are not about tensors
LENGTH = 8  # bytes at the start of a safetensors file that hold its header's length
MOST_HEADER = 4 * 1024**2  # bytes; our headers have some ten thousand
ZIP_MAGIC = b"PK\x03\x04"  # of PyTorch's files since 1.6
PICKLE_START = re.compile(rb"\x80[\x02-\x05]")  # of older ones, and of other pickles
HEADER_START = b"{"  # of the JSON behind the length
FIRST_BYTES = 16  # bytes by which kinds of files are told apart


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the cause."""


class PyTorchFileError(SafetensorError):
    """A file is a PyTorch checkpoint, not safetensors."""


class OtherFileError(SafetensorError):
    """A file's first bytes are those of neither a safetensors file nor a PyTorch checkpoint."""


@dataclass(frozen=True)
class StoredTensor:
    """What a header says about a tensor; `dtype` is safetensors' name of its type."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class CheckpointHeader:
    """The header of a safetensors file.

    Attributes:
        metadata: texts by key, such as the record.
        tensors: by name.
        data: the header's bytes, from the file's first byte to the first weight.
        size: bytes of the whole file.
    """

    metadata: Mapping[str, str]
    tensors: Mapping[str, StoredTensor]
    data: bytes
    size: int


@contextmanager
def open_checkpoint(path: Path, ours: bool = True) -> Iterator[BinaryIO]:
    """Open a safetensors file for reading; whatever goes wrong becomes a `CheckpointError`.

    Args:
        path: the file.
        ours: whether it should be one that segviz wrote, so that training again is a cure.

    Raises:
        CheckpointError: the file is missing, unreadable or damaged.
    """
    try:
        if not path.exists():
            if not ours:
                raise CheckpointError(f"there is no file {plain_text(str(path))}; check the path")
            raise CheckpointError(
                f"there is no checkpoint {path}; check the path, or train one with `python -m segviz train`"
            )
        if not path.is_file():
            raise CheckpointError(f"{path} is not a file but a folder or a device; name the file of weights itself")
        with path.open("rb") as file:
            yield file
    except PyTorchFileError:
        raise CheckpointError(
            f"{path} is a PyTorch checkpoint, which has no segviz record; give its network too: "
            f"segviz.load('net.py:build', weights='{path.name}'), or --model net.py:build --weights {path.name}"
        ) from None
    except SafetensorError as error:
        if isinstance(error, OtherFileError) and path.suffix != ".safetensors":
            raise CheckpointError(
                f"{path} is neither a PyTorch checkpoint nor a safetensors file; copy or download it again, or give "
                "the file that holds the weights"
            ) from None
        cause, cure = plain_text(str(error)), "copy or train it again" if ours else "copy it again"
        raise CheckpointError(f"{path} is not a whole safetensors file ({cause}); {cure}") from None
    except OSError as error:
        raise CheckpointError(
            f"{plain_text(str(path))} cannot be read ({error.strerror or error}); check its permissions and the disk"
        ) from None


def read_header(file: BinaryIO) -> CheckpointHeader:
    """Read the header of an open file, from its first byte; the length that it claims is checked before it is read.

    Raises:
        PyTorchFileError: it is a PyTorch checkpoint.
        OtherFileError: no header begins where one should.
        SafetensorError: the header is damaged or exceeds 4 MiB, or the file is longer or shorter than it says.
    """
    start, first = file.read(LENGTH), file.read(1)
    if is_pytorch(start):
        raise PyTorchFileError("it is a PyTorch checkpoint")
    kind = SafetensorError if first == HEADER_START else OtherFileError
    length = int.from_bytes(start, "little")
    if length > MOST_HEADER:
        raise kind(f"its header claims {length:,} bytes; at most {MOST_HEADER:,} are read")
    text = first + file.read(max(length - 1, 0))
    if len(start) + len(text) < LENGTH + length or not length:
        raise kind("its header is cut off")
    try:
        entries = json.loads(text)
        metadata = {str(key): str(value) for key, value in entries.pop(METADATA, {}).items()}
        tensors = {name: read_tensor_entry(entry) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise kind("its header is damaged") from None
    size = os.fstat(file.fileno()).st_size
    if size != LENGTH + length + end:
        raise SafetensorError(f"it has {size:,} bytes, its header says {LENGTH + length + end:,}")
    return CheckpointHeader(metadata, tensors, start + text, size)


def is_pytorch(start: bytes) -> bool:
    """Whether a file's first eight bytes or more are those of a PyTorch checkpoint or of another pickle.

    Two bytes of a pickle may begin a safetensors file too, whose first eight are its header's length.
    """
    if start.startswith(ZIP_MAGIC):
        return True
    return PICKLE_START.match(start) is not None and int.from_bytes(start[:LENGTH], "little") > MOST_HEADER


def read_tensor_entry(entry: Mapping[str, Any]) -> StoredTensor:
    """Read what a header says about one tensor."""
    return StoredTensor(str(entry["dtype"]), tuple(map(int, entry["shape"])))


def read_whole(file: BinaryIO, header: CheckpointHeader) -> bytes:
    """Read the rest of an open file whose header was just read; returns all of its bytes, each read once.

    Raises:
        SafetensorError: the file has shrunk or grown since.
    """
    rest = header.size - len(header.data)
    weights = file.read(rest + 1)
    if len(weights) != rest:
        raise SafetensorError("it was written while it was read")
    return header.data + weights


def weights_start(data: bytes) -> int:
    """Where the weights of a safetensors file begin, right behind its header."""
    return LENGTH + int.from_bytes(data[:LENGTH], "little")
