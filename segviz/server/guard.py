"""The door of the server: who may come in, how many at once, and what every answer tells the browser to forbid.

Streamlit itself takes any Host header (so a page whose name is re-bound to 127.0.0.1 can talk to it), any number of
connections, and any amount of uploads. The guard stands before it and before every route.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segviz.server import logs, metrics
from segviz.server.headers import security_headers
from segviz.server.quotas import Places, RefusedError, Uploads, address_of, unmapped
from segviz.settings import Settings

LOCAL = ("localhost", "127.0.0.1", "::1")
HARMLESS = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+$")
METRICS = re.compile(r"(/_stcore)?/metrics$")
NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")  # of a host, or an IPv6 address
LONGEST_NAME = 253  # letters of a host, by RFC 1035
GRACE = 10.0  # seconds before an upload's pace counts
MEBI, KIBI = 1024**2, 1024


class TooSlowError(OSError):
    """A request's body comes too slowly. Starlette frees what it has of an upload when it meets an OSError."""


class Guard:
    """ASGI middleware around the whole app.

    Args:
        app: what it guards.
        limits: the operator's settings.
        held: the bytes of uploads that the app holds, by session.
        scripts: hashes of the inline scripts that the app's own page contains (`headers.script_hashes`).
        names: further hosts, such as the one that the server was told to bind.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Settings,
        held: Callable[[], Mapping[str, int]] = dict,
        scripts: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._limits = limits
        self._names = (*LOCAL, *names, *limits.allowed_hosts)
        self._visitors = Places("visitors", limits.visitors, limits.visitors_per_address)
        self._requests = Places("requests", limits.requests, limits.requests_per_address)
        self._uploads = Uploads(held, limits.uploads_mb * MEBI, limits.uploads_mb_per_address * MEBI)
        self._headers = security_headers(scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a sentence that says why not."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answering = Answering(send, (*self._headers, ("X-Request-ID", logs.new_request())))
        try:
            with ExitStack() as places:
                self._admit(scope, places)
                await self._app(scope, self._paced(scope, receive), answering)
        except (RefusedError, TooSlowError) as error:
            refusal = error if isinstance(error, RefusedError) else RefusedError("slow", 408, f"{error}")
            metrics.refused(refusal.reason)
            if answering.started:
                raise
            await refusal.response()(scope, receive, answering)

    def _admit(self, scope: Scope, places: ExitStack) -> None:
        """Take the places that a request needs.

        Raises:
            RefusedError: it may not come in, or there is no room.
        """
        headers, address = Headers(scope=scope), address_of(scope)
        self._check_host(headers, scope)
        if scope["type"] == "websocket":
            self._check_origin(headers)
            places.callback(self._tell_visitors)
            places.enter_context(self._visitors.taken(address))
            self._tell_visitors()
            return
        if METRICS.search(scope["path"]) and not self._may_watch(scope):
            raise RefusedError(
                "watchers", 403, "this address may not read the metrics; SEGVIZ_METRICS_FROM says which may"
            )
        places.enter_context(self._requests.taken(address))
        if "text/html" in headers.get("accept", ""):  # a visitor's page, which is about to ask for a websocket
            self._visitors.check(address)
        if scope["method"] not in HARMLESS:
            self._check_origin(headers)
        if scope["method"] == "PUT" and (path := UPLOAD.search(scope["path"])):
            places.enter_context(self._uploads.coming(path[1], address, headers.get("content-length")))

    def _tell_visitors(self) -> None:
        metrics.visitors(self._visitors.count)

    def _check_host(self, headers: Headers, scope: Scope) -> None:
        """Refuse a Host under which nobody is to reach the app."""
        given = headers.getlist("host")
        name = hostname(given[0]) if len(given) == 1 else None
        bound = unmapped((scope.get("server") or ("",))[0])
        if name is None or not (allowed(name, self._names) or name == bound):
            shown = name or "missing or malformed"
            raise RefusedError("host", 403, f"the host name ({shown}) is not allowed; the operator can add it to "
                          "SEGVIZ_ALLOWED_HOSTS")  # fmt: skip

    def _check_origin(self, headers: Headers) -> None:
        """Refuse what another site's page sends; a request without Origin comes from no browser's page."""
        origins = headers.getlist("origin")
        for origin in origins:
            parts = parsed(origin)
            same = parts is not None and parts.netloc.lower() == headers["host"].lower()
            named = parts is not None and allowed((parts.hostname or "").rstrip("."), self._limits.allowed_hosts)
            if not (same or named):
                raise RefusedError("origin", 403, "another site's page may not use this app")

    def _may_watch(self, scope: Scope) -> bool:
        """Whether a request's address may read the metrics."""
        try:
            one = ip_address(unmapped((scope.get("client") or ("",))[0]))
        except ValueError:
            return False
        return any(one in network for network in self._limits.metrics_from)

    def _paced(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, but a body that comes more slowly than the least rate ends in TooSlowError."""
        rate = self._limits.upload_rate_kb * KIBI
        if scope["type"] == "websocket" or scope["method"] in HARMLESS or not rate:
            return receive
        start, got, more = asyncio.get_running_loop().time(), 0, True

        async def paced() -> Message:
            nonlocal got, more
            if not more:  # what remains to be received is the end of the connection
                return await receive()
            try:
                async with asyncio.timeout_at(start + GRACE + got / rate):
                    message = await receive()
            except TimeoutError:
                raise TooSlowError(
                    f"the upload comes at less than {rate // KIBI} KiB a second; try a better line"
                ) from None
            got += len(message.get("body", b""))
            more = message.get("more_body", False)
            return message

        return paced


class Answering:
    """`send`, adding the guard's headers to every answer, and knowing whether one has begun."""

    def __init__(self, send: Send, headers: tuple[tuple[str, str], ...]) -> None:
        self._send, self._headers = send, headers
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Send a message on."""
        if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            self.started = True
        if message["type"].endswith("http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in self._headers:
                headers[name] = value
        await self._send(message)


def hostname(host: str) -> str | None:
    """The name in a Host header, in small letters, without port and final dot; None where it has no such form."""
    parts = parsed(f"//{host}")
    name = (parts.hostname or "").rstrip(".") if parts and parts.netloc == host and "@" not in host else ""
    return name if len(name) <= LONGEST_NAME and NAME.fullmatch(name) else None


def parsed(url: str) -> SplitResult | None:
    """The parts of a URL whose host and port can be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def allowed(name: str, names: tuple[str, ...]) -> bool:
    """Whether a host is among names, of which *.NAME stands for all below NAME."""
    return any(name.endswith(one[1:]) if one.startswith("*.") else name == one for one in names)
