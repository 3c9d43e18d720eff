"""What the server keeps of a visit beyond its session: a reload, or a connection lost for long, starts a new session.

A visit is identified by a cookie that no script can read and that the browser drops when it is closed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segviz.settings import MIB, settings

COOKIE = "segviz_visit"
VISIT_PATTERN = re.compile(r"[A-Za-z0-9_-]{32}")  # 24 random bytes
KEPT_S = 2 * 60 * 60  # seconds after its last use
KEPT_OF_VISIT = 4


@dataclass
class KeptObject:
    """An object of a visit.

    Attributes:
        value: the object.
        size: its bytes.
        session: the session that brought it, whose address it counts for.
        until: when it expires, by `time.monotonic`.
    """

    value: object
    size: int
    session: str
    until: float


class VisitStore:
    """Objects by visit and key; they expire, and the least recently used leave when there are too many.

    Args:
        max_bytes: bytes of all visits.
        of_visit: objects of one visit.
        seconds: how long an object is kept after its last use.
    """

    def __init__(self, max_bytes: int, of_visit: int = KEPT_OF_VISIT, seconds: float = KEPT_S) -> None:
        self._objects: OrderedDict[tuple[str, str], KeptObject] = OrderedDict()
        self._max_bytes, self._of_visit, self._seconds = max_bytes, of_visit, seconds
        self._lock = threading.Lock()

    def put(self, visit: str, key: str, value: object, size: int, session: str) -> None:
        """Keep an object as the visit's newest; without a visit, or if it exceeds the limit alone, nothing is kept."""
        if not visit or size > self._max_bytes:
            return
        with self._lock:
            self._objects.pop((visit, key), None)
            self._objects[visit, key] = KeptObject(value, size, session, time.monotonic() + self._seconds)
            own = [each for each in self._objects if each[0] == visit]
            for each in own[: -self._of_visit]:
                del self._objects[each]
            while sum(each.size for each in self._objects.values()) > self._max_bytes:
                self._objects.popitem(last=False)

    def get(self, visit: str, key: str) -> object | None:
        """An object, which counts as a use; None if the visit has no such object, or not any more."""
        self.expire()
        with self._lock:
            found = self._objects.get((visit, key))
            if found is None:
                return None
            found.until = time.monotonic() + self._seconds
            self._objects.move_to_end((visit, key))
            return found.value

    def drop(self, visit: str, key: str) -> None:
        """Keep an object no longer."""
        with self._lock:
            self._objects.pop((visit, key), None)

    def values(self, visit: str) -> list[object]:
        """A visit's objects, the most recently used first."""
        self.expire()
        with self._lock:
            return [each.value for (owner, _), each in reversed(self._objects.items()) if owner == visit]

    def expire(self) -> None:
        """Drop what has expired."""
        now = time.monotonic()
        with self._lock:
            for each in [each for each, kept in self._objects.items() if kept.until <= now]:
                del self._objects[each]

    def bytes_by_session(self) -> Counter[str]:
        """The bytes that are kept, by the session that brought them."""
        sizes: Counter[str] = Counter()
        with self._lock:
            for each in self._objects.values():
                sizes[each.session] += each.size
        return sizes


VISITS = VisitStore(settings().uploads_mb * MIB // 4)


def is_visit(text: str) -> bool:
    """Whether a cookie's value can be a visit of ours."""
    return VISIT_PATTERN.fullmatch(text) is not None


def visit_mark(visit: str) -> str:
    """Eight digits by which a link shows whether it comes from the same visit; the visit cannot be found from them."""
    return hashlib.sha256(visit.encode()).hexdigest()[:8] if visit else ""


def needs_cookie(method: str, headers: Headers) -> bool:
    """Whether a request opens a page in a browser that has no visit yet."""
    if method != "GET" or "text/html" not in headers.get("accept", ""):
        return False
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return not any(name == COOKIE and is_visit(value) for name, _, value in pairs)


class VisitCookie:
    """ASGI middleware that gives every browser which opens a page a visit of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the answer to a browser's first page sets the cookie."""
        if scope["type"] != "http" or not needs_cookie(scope["method"], Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax{secure}"

        async def send_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_cookie)
