"""The entrance of the server: who may come in, how many at once, and which headers every answer carries.

Streamlit itself accepts any Host header (so a page whose name is rebound to 127.0.0.1 can talk to it), any number of
connections, and any amount of uploads. The guard comes before it and before every route.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segviz.server import logs, metrics
from segviz.server.bodies import SAFE_METHODS, UPLOAD_PATH, BodyError, bound_body
from segviz.server.headers import security_headers
from segviz.server.hosts import LOOPBACK_NAMES, check_host, check_origin
from segviz.server.message_pump import HANDED_AT_ONCE, MessagePump
from segviz.server.message_rules import MessageRules, NoRules
from segviz.server.quotas import ConnectionQuota, RefusedError, UploadQuota, client_address, plain_address
from segviz.server.rates import AddressBuckets, TokenBucket
from segviz.settings import KIB, MIB, Settings

UPLOAD_PATH_LENGTH = 200  # Streamlit's ids of session and file take 96
METRICS_PATH = re.compile(r"(/_stcore)?/metrics$")
MESSAGE_SECONDS = 4  # an address may send as many messages at once as it may in so many seconds


class Guard:
    """ASGI middleware around the whole app.

    Args:
        app: the app that it guards.
        limits: the operator's settings.
        uploaded: returns the bytes of uploads that the app holds, by session.
        rules: what the app knows about the messages of its websockets.
        scripts: hashes of the inline scripts in the app's own page (`headers.script_hashes`).
        names: further host names, such as the address that the server binds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Settings,
        uploaded: Callable[[], Mapping[str, int]] = dict,
        rules: MessageRules | None = None,
        scripts: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._limits = limits
        self._names = (*LOOPBACK_NAMES, *names, *limits.allowed_hosts)
        self._visitors = ConnectionQuota("visitors", limits.visitors, limits.visitors_per_address)
        self._requests = ConnectionQuota("requests", limits.requests, limits.requests_per_address)
        self._uploads = UploadQuota(uploaded, limits.uploads_mb * MIB, limits.uploads_mb_per_address * MIB)
        self._rules = rules or NoRules()
        self._rates = AddressBuckets(limits.messages_per_address, MESSAGE_SECONDS * limits.messages_per_address)
        self._headers = security_headers(scripts, limits.frame_ancestors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with a sentence that says why."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = SecuredSend(send, (*self._headers, ("X-Request-ID", logs.new_request_id())))
        try:
            with ExitStack() as quotas:
                self._admit(scope, quotas)
                if scope["type"] == "websocket":
                    await self._pump(scope, receive, answer)
                else:
                    await self._app(scope, bound_body(scope, receive, self._limits.upload_rate_kb * KIB), answer)
        except (RefusedError, BodyError) as error:
            refusal = error.refusal if isinstance(error, BodyError) else error
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
            if len(path[0]) > UPLOAD_PATH_LENGTH:
                raise RefusedError("uploads", 414, "the upload's address is too long; reload the page")
            quotas.enter_context(self._uploads.hold(path[1], address, headers.get("content-length")))

    async def _pump(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a websocket on, with its messages at a bounded rate."""
        own = TokenBucket(self._limits.messages, HANDED_AT_ONCE)
        pump = MessagePump(receive, send, (own, self._rates.find(client_address(scope))), self._rules)
        try:
            await self._app(scope, pump.receive, pump.send)
        finally:
            await pump.stop()

    def _report_visitors(self) -> None:
        metrics.set_visitors(self._visitors.count)

    def _may_read_metrics(self, scope: Scope) -> bool:
        try:
            address = ip_address(plain_address((scope.get("client") or ("",))[0]))
        except ValueError:
            return False
        return any(address in network for network in self._limits.metrics_from)


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
