"""The download route for large files: from disk, under unguessable names."""

from __future__ import annotations

import io
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from segviz.filenames import safe_name

CHUNK_BYTES = 1024**2  # read at a time

DOWNLOAD_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Encoding": "identity",  # else Streamlit compresses what is compressed already
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, eq=False)
class OfferedFile:
    """An open file, the name to save it under, and its media type. It is gone once somebody closes it."""

    file: io.BufferedIOBase
    name: str
    media_type: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return os.fstat(self.file.fileno()).st_size

    def parts(self) -> Iterator[bytes]:
        """The content in chunks; several readers may read at once.

        Raises:
            ValueError: the file was closed meanwhile.
        """
        at = 0
        while part := self._read(at):
            yield part
            at += len(part)

    def _read(self, at: int) -> bytes:
        with self.lock:
            self.file.seek(at)
            return self.file.read(CHUNK_BYTES)


class Downloads:
    """The files that can be downloaded, each under a token."""

    def __init__(self) -> None:
        self._offers: dict[str, OfferedFile] = {}
        self._lock = threading.Lock()

    def offer(self, file: io.BufferedIOBase, name: str, media_type: str) -> str:
        """Offer a file, which nobody may write any more, and return its token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._offers = {known: offered for known, offered in self._offers.items() if not offered.file.closed}
            self._offers[token] = OfferedFile(file, name, media_type)
        return token

    def get(self, token: str) -> OfferedFile | None:
        """The file of a token; None if it is unknown or closed."""
        with self._lock:
            offered = self._offers.get(token)
        return offered if offered is not None and not offered.file.closed else None


DOWNLOADS = Downloads()


def download_routes(downloads: Downloads = DOWNLOADS) -> list[Route]:
    """The routes for `st.App`; blobs.py explains the second pattern."""

    async def file(request: Request) -> Response:
        offered = downloads.get(request.path_params["token"])
        if offered is None:
            return Response("This file is gone; export it again.\n", 404, DOWNLOAD_HEADERS, "text/plain")
        attachment = {"Content-Disposition": f'attachment; filename="{safe_name(offered.name)}"'}
        headers = {**DOWNLOAD_HEADERS, **attachment, "Content-Length": str(offered.size)}
        return StreamingResponse(offered.parts(), headers=headers, media_type=offered.media_type)

    return [Route(path, file, methods=["GET"]) for path in ("/segviz/file/{token}", "/{base:path}/segviz/file/{token}")]
