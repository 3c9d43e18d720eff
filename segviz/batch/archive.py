"""A ZIP that is written file by file."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from segviz.filenames import make_unique, safe_name

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same ZIP, byte for byte
COMPRESSED_SUFFIXES = (".png", ".npz", ".pdf", ".webp", ".jpg")  # deflating these again gains nothing
ENTRY_BYTES, END_BYTES = 256, 128  # more than a file's two headers and the ZIP's end take, without the names
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a full disk, a quota and a limit on files say


class Archive:
    """A ZIP that is written file by file and never held in memory; names are made safe and unique.

    Leaving the `with` block completes the ZIP, also after an exception: the files written so far are kept. An archive
    without files leaves no ZIP. Space for a file, and for the list of files at the end, is reserved before it is
    written, so a full disk costs that file alone (where the system can reserve space).

    Args:
        target: a path, where the ZIP appears only when it is complete, or an open binary file.
    """

    def __init__(self, target: Path | io.BufferedIOBase) -> None:
        self._path = target if isinstance(target, Path) else None
        self._part = target.with_name(target.name + ".part") if isinstance(target, Path) else None
        self._taken: set[str] = set()
        self._list_bytes = END_BYTES
        if self._part is not None:
            self._part.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO | io.BufferedIOBase = self._part.open("wb") if self._part else target  # type: ignore[assignment]
        self._zip = zipfile.ZipFile(self._file, "w")

    def put(self, name: str, data: bytes) -> str:
        """Add a file and return its name in the ZIP.

        Raises:
            OSError: there is no space for it; the ZIP is as it was before.
        """
        name = make_unique(safe_name(name), self._taken)
        try:
            self._reserve(2 * (ENTRY_BYTES + len(name.encode())) + len(data) + len(data) // 1000)
        except OSError:
            self._taken.discard(name.lower())
            raise
        entry = zipfile.ZipInfo(name, FIXED_DATE)
        entry.external_attr = 0o644 << 16
        entry.compress_type = zipfile.ZIP_STORED if name.lower().endswith(COMPRESSED_SUFFIXES) else zipfile.ZIP_DEFLATED
        self._zip.writestr(entry, data)
        self._list_bytes += ENTRY_BYTES + len(name.encode())
        return name

    def _reserve(self, size: int) -> None:
        """Reserve bytes for the next file and for the list of files."""
        allocate = getattr(os, "posix_fallocate", None)
        if allocate is None or isinstance(self._file, io.BytesIO):
            return
        self._file.flush()
        start = self._file.tell()
        try:
            allocate(self._file.fileno(), start, size + self._list_bytes)
        except OSError as error:
            if error.errno in FULL:
                os.ftruncate(self._file.fileno(), start + self._list_bytes)
                error.filename = str(self._path) if self._path else None
                raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is None or self._part is None:
            self._complete()
            return
        try:
            self._complete()
            if self._taken:
                os.fsync(self._file.fileno())
                self._part.replace(self._path)
        finally:
            with suppress(OSError):
                self._file.close()
                self._part.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Write the list of files, and give back the space that was reserved and not used."""
        self._zip.close()
        self._file.truncate()
        self._file.flush()
