"""The entrance of the server: who may come in, how many at once, and which headers every answer carries.

Streamlit itself accepts any Host header (so a page whose name is rebound to 127.0.0.1 can talk to it), any number of
connections, and any amount of uploads. The guard comes before it and before every route.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segviz.server import logs, metrics
from segviz.server.headers import security_headers
from segviz.server.hosts import LOOPBACK_NAMES, check_host, check_origin
from segviz.server.quotas import ConnectionQuota, RefusedError, UploadQuota, client_address, plain_address
from segviz.settings import KIB, MIB, Settings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # they change nothing
UPLOAD_PATH = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+$")
METRICS_PATH = re.compile(r"(/_stcore)?/metrics$")
GRACE = 10.0  # seconds before an upload's rate counts


class TooSlowError(OSError):
    """A request's body comes too slowly. On an OSError, starlette frees what it has received of an upload."""


class Guard:
    """ASGI middleware around the whole app.

    Args:
        app: the app that it guards.
        limits: the operator's settings.
        uploaded: returns the bytes of uploads that the app holds, by session.
        scripts: hashes of the inline scripts in the app's own page (`headers.script_hashes`).
        names: further host names, such as the address that the server binds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Settings,
        uploaded: Callable[[], Mapping[str, int]] = dict,
        scripts: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._limits = limits
        self._names = (*LOOPBACK_NAMES, *names, *limits.allowed_hosts)
        self._visitors = ConnectionQuota("visitors", limits.visitors, limits.visitors_per_address)
        self._requests = ConnectionQuota("requests", limits.requests, limits.requests_per_address)
        self._uploads = UploadQuota(uploaded, limits.uploads_mb * MIB, limits.uploads_mb_per_address * MIB)
        self._headers = security_headers(scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with a sentence that says why."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = SecuredSend(send, (*self._headers, ("X-Request-ID", logs.new_request_id())))
        try:
            with ExitStack() as quotas:
                self._admit(scope, quotas)
                await self._app(scope, self._paced(scope, receive), answer)
        except (RefusedError, TooSlowError) as error:
            refusal = error if isinstance(error, RefusedError) else RefusedError("slow", 408, f"{error}")
            metrics.count_refusal(refusal.reason)
            if answer.started:
                raise
            await refusal.response()(scope, receive, answer)

    def _admit(self, scope: Scope, quotas: ExitStack) -> None:
        """Check a request, and enter the quotas that it counts for.

        Raises:
            RefusedError: it may not come in, or a quota is exhausted.
        """
        headers, address = Headers(scope=scope), client_address(scope)
        check_host(headers, scope, self._names)
        if scope["type"] == "websocket":
            check_origin(headers, self._limits.allowed_hosts)
            quotas.callback(self._report_visitors)
            quotas.enter_context(self._visitors.hold(address))
            self._report_visitors()
            return
        if METRICS_PATH.search(scope["path"]) and not self._may_read_metrics(scope):
            raise RefusedError(
                "watchers", 403, "this address may not read the metrics; SEGVIZ_METRICS_FROM says which may"
            )
        quotas.enter_context(self._requests.hold(address))
        if "text/html" in headers.get("accept", ""):  # a visitor's page, which is about to open a websocket
            self._visitors.check(address)
        if scope["method"] not in SAFE_METHODS:
            check_origin(headers, self._limits.allowed_hosts)
        if scope["method"] == "PUT" and (path := UPLOAD_PATH.search(scope["path"])):
            quotas.enter_context(self._uploads.hold(path[1], address, headers.get("content-length")))

    def _report_visitors(self) -> None:
        metrics.set_visitors(self._visitors.count)

    def _may_read_metrics(self, scope: Scope) -> bool:
        try:
            address = ip_address(plain_address((scope.get("client") or ("",))[0]))
        except ValueError:
            return False
        return any(address in network for network in self._limits.metrics_from)

    def _paced(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, but with a TooSlowError if the body comes more slowly than the lowest rate allowed."""
        rate = self._limits.upload_rate_kb * KIB
        if scope["type"] == "websocket" or scope["method"] in SAFE_METHODS or not rate:
            return receive
        start, received, more = asyncio.get_running_loop().time(), 0, True

        async def receive_in_time() -> Message:
            nonlocal received, more
            if not more:  # only the end of the connection is left to receive
                return await receive()
            try:
                async with asyncio.timeout_at(start + GRACE + received / rate):
                    message = await receive()
            except TimeoutError:
                raise TooSlowError(
                    f"the upload comes at less than {rate // KIB} KiB a second; use a faster connection"
                ) from None
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            return message

        return receive_in_time


class SecuredSend:
    """`send` that adds the guard's headers to every answer, and knows whether an answer has started."""

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
