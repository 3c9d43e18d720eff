"""The route by which large files leave the server: from disk, under names that cannot be guessed."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Encoding": "identity",  # else Streamlit gzips what is packed already
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Offer:
    """A file on disk, and what it is called where it is saved."""

    path: Path
    name: str


class Downloads:
    """Files on offer. One that is gone from the disk is no longer offered."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        self._lock = threading.Lock()

    def offer(self, path: Path, name: str) -> str:
        """The token of a file, to be had by whoever knows it."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._offers = {known: one for known, one in self._offers.items() if one.path.is_file()}
            self._offers[token] = Offer(path, name)
        return token

    def get(self, token: str) -> Offer | None:
        """The file of a token, or None if there is none."""
        with self._lock:
            found = self._offers.get(token)
        return found if found is not None and found.path.is_file() else None


DOWNLOADS = Downloads()


def routes(downloads: Downloads = DOWNLOADS) -> list[Route]:
    """The routes for `st.App`; the second pattern answers below any path, as blobs.py explains."""

    async def file(request: Request) -> Response:
        found = downloads.get(request.path_params["token"])
        if found is None:
            return Response("This file is gone; make it again.\n", 404, HEADERS, "text/plain")
        return FileResponse(found.path, headers=HEADERS, media_type="application/zip", filename=found.name)

    return [Route(path, file, methods=["GET"]) for path in ("/segviz/file/{token}", "/{base:path}/segviz/file/{token}")]
