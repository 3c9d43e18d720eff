"""The data route of the viewer: bytes under names that cannot be guessed, and the store behind it.

Routes of one's own have no session or login, so the name is the permission: a keyed hash over all the
bytes, with a key that lives as long as the process.
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
HEADERS = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Encoding": "identity",  # else Streamlit gzips it: 200-490 ms for 7 MB
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Blob:
    """Bytes and what they are."""

    content: bytes
    media_type: MediaType


class BlobStore:
    """Blobs by unguessable name; the ones unused for longest go when the bytes exceed the bound."""

    def __init__(self, max_bytes: int = 512 * 2**20) -> None:
        """An empty store for `max_bytes` of blobs."""
        self._blobs: OrderedDict[str, Blob] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()

    def put(self, content: bytes, media_type: MediaType = "application/octet-stream") -> str:
        """The name of these bytes, now in the store; the newest stay even if they exceed the bound alone."""
        digest = hashlib.blake2b(content, digest_size=16, key=self._secret, person=media_type[-16:].encode())
        name = digest.hexdigest()
        with self._lock:
            if name not in self._blobs:
                self._blobs[name] = Blob(content, media_type)
                self._bytes += len(content)
            self._blobs.move_to_end(name)
            while self._bytes > self._max_bytes and len(self._blobs) > 1:
                self._bytes -= len(self._blobs.popitem(last=False)[1].content)
            metrics.store_bytes("viewer", self._bytes)
        return name

    def get(self, name: str) -> Blob | None:
        """The blob of this name, or None if there is none or it had to go; counts as a use."""
        with self._lock:
            blob = self._blobs.get(name)
            if blob is not None:
                self._blobs.move_to_end(name)
            return blob


STORE = BlobStore(settings().viewer_mb * 2**20)


def routes(store: BlobStore = STORE) -> list[Route]:
    """The store's routes for `st.App(__file__, routes=routes())`.

    The second pattern answers below any path, for `server.baseUrlPath` and proxies that keep their prefix.
    """

    async def blob(request: Request) -> Response:
        found = store.get(request.path_params["name"])
        return Response(status_code=404) if found is None else answer(found, request.headers.get("range"))

    paths = ("/segviz/blob/{name}", "/{base:path}/segviz/blob/{name}")
    return [Route(path, blob, methods=["GET"]) for path in paths]


def answer(blob: Blob, wanted: str | None) -> Response:
    """All of a blob, or the single byte range that was asked for; 416 if it lies beyond the end."""
    size = len(blob.content)
    span = _span(wanted, size)
    if span is None:
        return Response(blob.content, 200, HEADERS, blob.media_type)
    first, last = span
    if not 0 <= first <= last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {**HEADERS, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Response(blob.content[first : last + 1], 206, headers, blob.media_type)


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """The first and last byte of `bytes=a-b`, `a-` or `-n`; None for all else, which HTTP lets one ignore."""
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
