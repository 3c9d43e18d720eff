"""How much one address, and all together, may have at once: open pages, requests, bytes of uploads.

All of it is counted in the server's event loop, so nothing here needs a lock.
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

RETRY_AFTER = 10  # seconds, as a hint to clients


class RefusedError(Exception):
    """A request that may not come in: what for, the HTTP status, and a sentence for who sent it."""

    def __init__(self, reason: Refusal, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.reason, self.status = reason, status

    def response(self) -> PlainTextResponse:
        """The answer that says so."""
        headers = {"Retry-After": str(RETRY_AFTER)} if self.status in (429, 503) else {}
        return PlainTextResponse(f"segviz: {self}.\n", self.status, {**headers, "Cache-Control": "no-store"})


class Places:
    """A bounded number of places, of which one address gets a bounded share."""

    def __init__(self, kind: Literal["visitors", "requests"], total: int, each: int) -> None:
        self._kind: Literal["visitors", "requests"] = kind
        self._total, self._each = total, each
        self._taken: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Places that are taken."""
        return self._taken.total()

    def check(self, address: str) -> None:
        """Whether there is a place.

        Raises:
            RefusedError: all are taken, or all that the address may have.
        """
        if self.count >= self._total:
            raise RefusedError(self._kind, 503, "this server is full; try again in a minute")
        if self._taken[address] >= self._each:
            raise RefusedError(
                self._kind, 429, "too many connections from this address; close some pages and try again"
            )

    @contextmanager
    def taken(self, address: str) -> Iterator[None]:
        """One place, while it is needed.

        Raises:
            RefusedError: there is none.
        """
        self.check(address)
        self._taken[address] += 1
        try:
            yield
        finally:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


class Uploads:
    """A bounded number of bytes in uploaded files, of which one address gets a bounded share.

    Args:
        held: the bytes that each session's files take now.
        total: bytes of all.
        each: bytes of one address.
    """

    def __init__(self, held: Callable[[], Mapping[str, int]], total: int, each: int) -> None:
        self._held, self._total, self._each = held, total, each
        self._coming: Counter[tuple[str, str]] = Counter()  # bytes under way, by session and address
        self._owner: dict[str, str] = {}  # the address that filled a session

    @contextmanager
    def coming(self, session: str, address: str, length: str | None) -> Iterator[None]:
        """Room for an upload of this Content-Length, while it comes; afterwards `held` counts it.

        Raises:
            RefusedError: the length is missing, or there is no room.
        """
        if length is None or not length.isdecimal() or len(length) > 15:
            raise RefusedError("uploads", 411, "an upload must say its length")
        held = self._held()
        under_way = {one for one, _ in self._coming}
        self._owner = {one: owner for one, owner in self._owner.items() if one in held or one in under_way}
        size = int(length)
        if size + sum(held.values()) + self._coming.total() > self._total:
            raise RefusedError("uploads", 413, "this server holds as many uploads as it may; try again in a minute")
        theirs = sum(count for one, count in held.items() if self._owner.get(one) == address)
        theirs += sum(count for (_, owner), count in self._coming.items() if owner == address)
        if size + theirs > self._each:
            raise RefusedError(
                "uploads", 413, "this address has uploaded as much as it may; close some pages and try again"
            )
        self._owner[session] = address
        self._coming[session, address] += size
        try:
            yield
        finally:
            self._coming[session, address] -= size
            if not self._coming[session, address]:
                del self._coming[session, address]


def address_of(scope: Scope) -> str:
    """Whom a request counts for: its IPv4 address, or the /64 of its IPv6 address, which one machine has whole."""
    host = unmapped((scope.get("client") or ("",))[0])
    return str(ip_network((host, 64), strict=False)) if ":" in host else host


def unmapped(host: str) -> str:
    """An IP address in its one usual form, that of IPv4 where it is one; anything else as it is."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str((address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address)
