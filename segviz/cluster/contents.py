"""The contents of files in the cluster's object store."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

import ray

from segviz.cluster.messages import FileContent

CONTENTS_KEPT = 32  # files whose content stays in the cluster's object store


class FileChangedError(ValueError):
    """A file cannot be read, or has another content than it had."""


class ContentStore:
    """The contents of files in the cluster's object store, each once, by its digest. Any thread may call it."""

    def __init__(self) -> None:
        self._references: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, file: FileContent) -> Any:
        """Ray's reference to a file's content.

        Raises:
            FileChangedError: the file cannot be read, or has another content than this digest's.
        """
        with self._lock:
            if file.sha not in self._references:
                try:
                    content = file.path.read_bytes()
                except OSError as error:
                    raise FileChangedError(f"{file.path} cannot be read ({error.strerror}); put it back") from None
                if hashlib.sha256(content).hexdigest() != file.sha:
                    raise FileChangedError(f"{file.path} was replaced a moment ago; try again")
                self._references[file.sha] = ray.put(content)
                while len(self._references) > CONTENTS_KEPT:
                    self._references.popitem(last=False)
            self._references.move_to_end(file.sha)
            return self._references[file.sha]
