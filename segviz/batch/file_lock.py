"""A file that one process writes to at a time."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

CAN_LOCK = sys.platform != "win32"
if sys.platform != "win32":
    import fcntl


def lock_file(file: BinaryIO | io.BufferedWriter) -> bool:
    """Lock an open file until it is closed; False where another process, or another opening, has the lock.

    True where the system or the file system has no locks.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def is_file_at(file: BinaryIO | io.BufferedWriter, path: Path) -> bool:
    """Whether a path still leads to an open file, which was neither deleted nor replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def open_locked(path: Path, data: bytes) -> BinaryIO | io.BufferedWriter | None:
    """A file that replaces `path`, whole, synced and locked from before it is there; open for more.

    None where another process is doing the same.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    part = path.with_name(path.name + ".part")
    file = part.open("ab")
    try:
        if not lock_file(file) or not is_file_at(file, part):  # the other has renamed it since
            file.close()
            return None
        file.truncate(0)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):  # the first error is the one to report
            part.unlink(missing_ok=True)
            file.close()
        if isinstance(error, OSError) and error.filename in (None, str(part)):  # a full disk names no file
            error.filename = str(path)
        raise
    return file
