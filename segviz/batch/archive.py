"""A ZIP that is written file by file."""

from __future__ import annotations

import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from segviz.filenames import make_unique, safe_name

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same ZIP, byte for byte
COMPRESSED_SUFFIXES = (".png", ".npz", ".pdf", ".webp", ".jpg")  # deflating these again gains nothing


class Archive:
    """A ZIP that is written file by file and never held in memory; names are made safe and unique.

    Leaving the `with` block completes the ZIP, also after an exception: the files written so far are kept. An archive
    without files leaves no ZIP.

    Args:
        target: a path, where the ZIP appears only when it is complete, or an open binary file.
    """

    def __init__(self, target: Path | io.BufferedIOBase) -> None:
        self._path = target if isinstance(target, Path) else None
        self._part = target.with_name(target.name + ".part") if isinstance(target, Path) else None
        self._taken: set[str] = set()
        if self._part is not None:
            self._part.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(self._part or target, "w")

    def put(self, name: str, data: bytes) -> str:
        """Add a file and return its name in the ZIP."""
        name = make_unique(safe_name(name), self._taken)
        entry = zipfile.ZipInfo(name, FIXED_DATE)
        entry.external_attr = 0o644 << 16
        entry.compress_type = zipfile.ZIP_STORED if name.lower().endswith(COMPRESSED_SUFFIXES) else zipfile.ZIP_DEFLATED
        self._zip.writestr(entry, data)
        return name

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is None or self._part is None:
            self._zip.close()
            return
        try:
            self._zip.close()
            if self._taken:
                with self._part.open("rb+") as file:
                    os.fsync(file.fileno())
                self._part.replace(self._path)
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
