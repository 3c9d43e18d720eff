"""How much one address, and all together, may have at once: open pages, requests, bytes of uploads.

Everything is counted in the server's event loop, so nothing here needs a lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

from starlette.responses import PlainTextResponse
from starlette.types import Scope

from segviz.server.metrics import Refusal

RETRY_AFTER = 10  # seconds, a hint for clients


class RefusedError(Exception):
    """A request is refused.

    Args:
        reason: what the refusal counts as.
        status: the HTTP status.
        sentence: the cause and the cure, for the client.
    """

    def __init__(self, reason: Refusal, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.reason, self.status = reason, status

    def response(self) -> PlainTextResponse:
        """The HTTP answer."""
        headers = {"Retry-After": str(RETRY_AFTER)} if self.status in (429, 503) else {}
        return PlainTextResponse(f"segviz: {self}.\n", self.status, {**headers, "Cache-Control": "no-store"})


class ConnectionQuota:
    """A bounded number of connections, of which each address gets a bounded share.

    Args:
        kind: the reason of a refusal.
        total: connections of all addresses.
        each: connections of one address.
    """

    def __init__(self, kind: Literal["visitors", "requests"], total: int, each: int) -> None:
        self._kind: Literal["visitors", "requests"] = kind
        self._total, self._each = total, each
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Open connections."""
        return self._open.total()

    def check(self, address: str) -> None:
        """Check that the address may open another connection.

        Raises:
            RefusedError: the total or the address's share is used up.
        """
        if self.count >= self._total:
            raise RefusedError(self._kind, 503, "this server is full; try again in a minute")
        if self._open[address] >= self._each:
            raise RefusedError(
                self._kind, 429, "too many connections from this address; close some pages and try again"
            )

    @contextmanager
    def hold(self, address: str) -> Iterator[None]:
        """Count one connection for the duration of the block.

        Raises:
            RefusedError: the total or the address's share is used up.
        """
        self.check(address)
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


class UploadQuota:
    """A bounded number of bytes in uploaded files, of which each address gets a bounded share.

    Args:
        uploaded: returns the bytes of each session's files.
        total: bytes of all addresses.
        each: bytes of one address.
    """

    def __init__(self, uploaded: Callable[[], Mapping[str, int]], total: int, each: int) -> None:
        self._uploaded, self._total, self._each = uploaded, total, each
        self._arriving: Counter[tuple[str, str]] = Counter()  # bytes of uploads in progress, by session and address
        self._owner: dict[str, str] = {}  # address by session

    @contextmanager
    def hold(self, session: str, address: str, length: str | None) -> Iterator[None]:
        """Reserve room for an upload of this Content-Length while it arrives; afterwards `uploaded` counts it.

        Raises:
            RefusedError: the length is missing, or there is no room.
        """
        if length is None or not length.isdecimal() or len(length) > 15:
            raise RefusedError("uploads", 411, "an upload must state its length")
        uploaded = self._uploaded()
        current = {*uploaded, *(session for session, _ in self._arriving)}
        self._owner = {session: owner for session, owner in self._owner.items() if session in current}
        size = int(length)
        if size + sum(uploaded.values()) + self._arriving.total() > self._total:
            raise RefusedError("uploads", 413, "this server has reached its limit of uploads; try again in a minute")
        own = sum(count for owned, count in uploaded.items() if self._owner.get(owned) == address)
        own += sum(count for (_, owner), count in self._arriving.items() if owner == address)
        if size + own > self._each:
            raise RefusedError(
                "uploads", 413, "this address has reached its limit of uploads; close some pages and try again"
            )
        self._owner[session] = address
        self._arriving[session, address] += size
        try:
            yield
        finally:
            self._arriving[session, address] -= size
            if not self._arriving[session, address]:
                del self._arriving[session, address]


def client_address(scope: Scope) -> str:
    """The address that a request counts for: its IPv4 address, or the /64 of its IPv6 address, which is one site's."""
    host = plain_address((scope.get("client") or ("",))[0])
    return str(ip_network((host, 64), strict=False)) if ":" in host else host


def plain_address(host: str) -> str:
    """An IP address in canonical form, an IPv4-mapped one as IPv4; any other text unchanged."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str((address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address)
