"""A folder for the files of a local cluster."""

from __future__ import annotations

from tempfile import TemporaryDirectory, gettempdir

LONGEST_PARENT = 28  # letters: Ray's sockets in it add some 75, and macOS allows them 103
SHORT_PARENT = "/tmp"


def make_short_folder() -> TemporaryDirectory[str]:
    """A temporary folder whose path is short enough for the sockets that Ray puts into it."""
    where = None if len(gettempdir()) <= LONGEST_PARENT else SHORT_PARENT
    return TemporaryDirectory(prefix="segviz-", dir=where, ignore_cleanup_errors=True)
