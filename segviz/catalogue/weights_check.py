"""What a file of weights shows of itself before it is loaded: its first bytes, its header or its list of members."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

from segviz.catalogue.checkpoint_header import ZIP_MAGIC, CheckpointError, is_pytorch, open_checkpoint, read_header

POINTER_START = b"version https://git-lfs"
MEMBER = "/data.pkl"  # of the ZIP that a PyTorch checkpoint is since 1.6
LEGACY_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # the number that an older one begins with, pickled
LEGACY_PROTOCOLS = (b"\x80\x02", b"\x80\x03")  # of the pickles that have the number at once


def check_weights_file(path: Path) -> None:
    """Refuse what cannot be a whole file of weights, without loading any; that takes milliseconds.

    What only its content tells, such as names and shapes that do not fit a network, is left to `read_weights`.

    Raises:
        CheckpointError: the file is missing, cannot be read, is cut off, or is of another kind.
    """
    with open_checkpoint(path, ours=False) as file:
        refuse_pointer(path, file)
        start = file.read(len(LEGACY_PROTOCOLS[0]) + len(LEGACY_MAGIC))
        file.seek(0)
        if not is_pytorch(start):
            read_header(file)
        elif start.startswith(ZIP_MAGIC):
            refuse_script(path, file)
            check_members(path, file)
        elif start[:2] in LEGACY_PROTOCOLS and start[2:] != LEGACY_MAGIC:
            raise broken_checkpoint(path, "it is a Python pickle, and not PyTorch's")


def check_members(path: Path, file: BinaryIO) -> None:
    """Refuse a ZIP that is cut off or is not PyTorch's, by the list of members at its end.

    Raises:
        CheckpointError: it is one.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises more than its own errors on a damaged directory
        raise broken_checkpoint(path, "its end is missing or damaged") from None
    if not any(name.endswith(MEMBER) for name in names):
        raise broken_checkpoint(path, "it is a ZIP without a checkpoint")


def refuse_pointer(path: Path, file: BinaryIO) -> None:
    """Refuse what Git LFS leaves in a file's place; the file is back at its first byte afterwards.

    Raises:
        CheckpointError: it is a pointer.
    """
    start = file.read(len(POINTER_START))
    file.seek(0)
    if start.startswith(POINTER_START):
        raise CheckpointError(f"{path} is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`")


def refuse_script(path: Path, file: BinaryIO) -> None:
    """Refuse a TorchScript archive.

    Raises:
        CheckpointError: it is one.
    """
    if is_script(file):
        raise CheckpointError(
            f"{path} is a TorchScript archive, whose calls cannot be seen; give the network's Python code and weights"
        )


def is_script(file: BinaryIO) -> bool:
    """Whether an open file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # zipfile raises more than its own errors on a damaged directory
        return False


def broken_checkpoint(path: Path, cause: str) -> CheckpointError:
    """The error for a PyTorch checkpoint that cannot be read."""
    return CheckpointError(
        f"{path} is not a whole PyTorch checkpoint ({cause}); copy it again, or save the network's state_dict() as "
        "safetensors"
    )
