"""The route by which large files leave the server: from disk, under names that cannot be guessed."""

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

AT_ONCE = 1024**2  # bytes that lie in memory

HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Encoding": "identity",  # else Streamlit gzips what is packed already
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, eq=False)
class Offer:
    """An open file, and what it is called where it is saved. It is gone once somebody closes it."""

    file: io.BufferedIOBase
    name: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self.file.fileno()).st_size

    def parts(self) -> Iterator[bytes]:
        """The content, bit by bit; several may read at once.

        Raises:
            ValueError: the file was closed while it was read.
        """
        at = 0
        while part := self._read(at):
            yield part
            at += len(part)

    def _read(self, at: int) -> bytes:
        with self.lock:
            self.file.seek(at)
            return self.file.read(AT_ONCE)


class Downloads:
    """Files on offer, each under a token."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        self._lock = threading.Lock()

    def offer(self, file: io.BufferedIOBase, name: str) -> str:
        """The token of a file that nobody writes any more, to be had by whoever knows it."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._offers = {known: one for known, one in self._offers.items() if not one.file.closed}
            self._offers[token] = Offer(file, name)
        return token

    def get(self, token: str) -> Offer | None:
        """The file of a token, or None if there is none."""
        with self._lock:
            found = self._offers.get(token)
        return found if found is not None and not found.file.closed else None


DOWNLOADS = Downloads()


def routes(downloads: Downloads = DOWNLOADS) -> list[Route]:
    """The routes for `st.App`; the second pattern answers below any path, as blobs.py explains."""

    async def file(request: Request) -> Response:
        found = downloads.get(request.path_params["token"])
        if found is None:
            return Response("This file is gone; make it again.\n", 404, HEADERS, "text/plain")
        named = {"Content-Disposition": f'attachment; filename="{safe_name(found.name)}"'}
        headers = {**HEADERS, **named, "Content-Length": str(found.size)}
        return StreamingResponse(found.parts(), headers=headers, media_type="application/zip")

    return [Route(path, file, methods=["GET"]) for path in ("/segviz/file/{token}", "/{base:path}/segviz/file/{token}")]
