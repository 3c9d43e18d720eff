"""Which pictures of PASCAL Context belong to train and val, from `trainval_merged.json`.

The file has 590 MB, almost all of it outlines. Only its list of pictures is parsed, where it stands in the file.
"""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from segviz.data.sample import DataError
from segviz.data.sample_files import is_name

LIST_BYTES = 1 << 20  # of the list; doubled until it is whole
NEED = 'it needs "images": [{"file_name": "2008_000002.jpg", "phase": "train"}, ...]; download it again'


def read_phases(path: Path) -> dict[str, list[str]]:
    """The names of the samples of each phase, such as train and val, in the file's order.

    Raises:
        DataError: the file cannot be read, or has no such list.
    """
    try:
        rows = read_picture_rows(path)
        phases: dict[str, list[str]] = {}
        for row in rows:
            name = Path(row["file_name"]).stem
            if not is_name(name):
                raise ValueError(name)
            phases.setdefault(str(row["phase"]), []).append(name)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} cannot be used; {NEED}") from None
    if not phases:
        raise DataError(f"{path} lists no picture; {NEED}")
    return phases


def read_picture_rows(path: Path) -> list[dict[str, Any]]:
    """The list under "images".

    Raises:
        ValueError: there is none, or it does not end.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b'"images"')
        start = data.find(b"[", at)
        if at < 0 or start < 0:
            raise ValueError("no list of pictures")
        length = LIST_BYTES
        while True:
            text = data[start : start + length].decode("utf-8", errors="ignore")
            try:
                rows, _ = json.JSONDecoder().raw_decode(text)
                return list(rows)
            except ValueError:
                if start + length >= len(data):
                    raise
                length *= 2
