"""The SHA-256 of a file, remembered as long as the file stays the same."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

SETTLED_S = 2.0  # a younger change may share its time stamp with another one, so such a file is read again
MOST_FILES = 64

State = tuple[int, int, int, int, int]
_digests: dict[Path, tuple[State, str]] = {}
_lock = threading.Lock()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; read again whenever the file may have changed.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        state = describe_state(os.fstat(file.fileno()))
        with _lock:
            known = _digests.get(path)
        if known is not None and known[0] == state:
            return known[1]
        digest = hashlib.sha256(file.read()).hexdigest()
        unchanged = describe_state(os.fstat(file.fileno())) == state
    with _lock:
        if unchanged and time.time() - max(state[3], state[4]) / 1e9 > SETTLED_S:
            _digests[path] = state, digest
            if len(_digests) > MOST_FILES:
                del _digests[next(iter(_digests))]
    return digest


def describe_state(status: os.stat_result) -> State:
    """What changes with a file's content; nobody can set the time of the last change of status (`ctime`)."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
