"""The viewer's data route: bytes under unguessable names, and the store behind it.

The route has neither session nor login, so the name is the permission: a keyed hash of all bytes, with a key that
lives as long as the process. A blob lives as long as a session that shows it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from segviz.server import metrics
from segviz.settings import settings

MediaType = Literal["application/octet-stream", "image/jpeg", "image/png"]
BLOB_HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Encoding": "identity",  # else Streamlit compresses it: 200-490 ms for 7 MB
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Blob:
    """Bytes and their media type."""

    content: bytes
    media_type: MediaType


class BlobStore:
    """Blobs by unguessable name; the least recently used leave when the bytes exceed the limit.

    A blob also leaves with the last of its holders; one without holders stays.

    Args:
        max_bytes: the limit.
    """

    def __init__(self, max_bytes: int = 512 * 2**20) -> None:
        self._blobs: OrderedDict[str, Blob] = OrderedDict()
        self._holders: dict[str, set[str]] = {}  # by name
        self._bytes = 0
        self._max_bytes = max_bytes
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()

    def put(self, content: bytes, media_type: MediaType = "application/octet-stream", holder: str | None = None) -> str:
        """Store bytes and return their name; the newest stay even if they alone exceed the limit."""
        digest = hashlib.blake2b(content, digest_size=16, key=self._secret, person=media_type[-16:].encode())
        name = digest.hexdigest()
        with self._lock:
            if name not in self._blobs:
                self._blobs[name] = Blob(content, media_type)
                self._bytes += len(content)
            self._blobs.move_to_end(name)
            self._hold(name, holder)
            while self._bytes > self._max_bytes and len(self._blobs) > 1:
                self._drop(next(iter(self._blobs)))
            metrics.set_store_bytes("viewer", self._bytes)
        return name

    def hold(self, name: str, holder: str | None) -> bool:
        """Let a session, if there is one, keep a blob; false if the blob is unknown or has left."""
        with self._lock:
            if name not in self._blobs:
                return False
            self._blobs.move_to_end(name)
            self._hold(name, holder)
            return True

    def release(self, holder: str) -> None:
        """Drop what only this session has kept."""
        with self._lock:
            for name in [name for name, holders in self._holders.items() if holder in holders]:
                self._holders[name].discard(holder)
                if not self._holders[name]:
                    self._drop(name)
            metrics.set_store_bytes("viewer", self._bytes)

    def _hold(self, name: str, holder: str | None) -> None:
        if holder is not None:
            self._holders.setdefault(name, set()).add(holder)

    def _drop(self, name: str) -> None:
        self._bytes -= len(self._blobs.pop(name).content)
        self._holders.pop(name, None)

    def get(self, name: str) -> Blob | None:
        """The blob of this name, which counts as a use; None if it is unknown or has left."""
        with self._lock:
            blob = self._blobs.get(name)
            if blob is not None:
                self._blobs.move_to_end(name)
            return blob


STORE = BlobStore(settings().viewer_mb * 2**20)


def blob_routes(store: BlobStore = STORE) -> list[Route]:
    """The store's routes for `st.App`.

    The second pattern matches below any path, for `server.baseUrlPath` and proxies that keep their prefix.
    """

    async def blob(request: Request) -> Response:
        stored = store.get(request.path_params["name"])
        return Response(status_code=404) if stored is None else blob_response(stored, request.headers.get("range"))

    paths = ("/segviz/blob/{name}", "/{base:path}/segviz/blob/{name}")
    return [Route(path, blob, methods=["GET"]) for path in paths]


def blob_response(blob: Blob, wanted: str | None) -> Response:
    """The whole blob, or the byte range of a Range header; 416 if it is beyond the end."""
    size = len(blob.content)
    span = _span(wanted, size)
    if span is None:
        return Response(blob.content, 200, BLOB_HEADERS, blob.media_type)
    first, last = span
    if not 0 <= first <= last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {**BLOB_HEADERS, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Response(blob.content[first : last + 1], 206, headers, blob.media_type)


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """The first and last byte of `bytes=a-b`, `a-` or `-n`; None for anything else, which HTTP allows to ignore."""
    unit, _, text = (wanted or "").partition("=")
    first, dash, last = text.strip().partition("-")
    numbers = [part for part in (first, last) if part]
    numeric = all(part.isascii() and part.isdigit() and len(part) < 16 for part in numbers)
    if unit.strip() != "bytes" or not dash or not numbers or not numeric:
        return None
    if not first:
        return (max(size - int(last), 0), size - 1) if int(last) else (size, size - 1)
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1
