"""Which names a request may call the server by, and which sites' pages may send it requests.

starlette's TrustedHostMiddleware does not do this: it allows only a list fixed at the start, not the IP address that a
connection came in at; of two Host headers it reads the first and ignores the second; it rejects `localhost.` with its
final dot; and its answer, 400 "Invalid host header", names neither the host nor the cure and counts nowhere.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from segviz.server.quotas import RefusedError, plain_address

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
HOST_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")  # a name, or an IPv6 address
MAX_HOST_LENGTH = 253  # characters, by RFC 1035


def check_host(headers: Headers, scope: Scope, names: tuple[str, ...]) -> None:
    """Check that the Host header is one of `names` or the IP address that the connection came in at.

    Raises:
        RefusedError: it is not, or there is not exactly one.
    """
    values = headers.getlist("host")
    name = hostname(values[0]) if len(values) == 1 else None
    local_address = plain_address((scope.get("server") or ("",))[0])
    if name is None or not (is_allowed(name, names) or name == local_address):
        sentence = (
            f"the host name ({name or 'missing or malformed'}) is not allowed; the operator can add it to "
            "SEGVIZ_ALLOWED_HOSTS"
        )
        raise RefusedError("host", 403, sentence)


def check_origin(headers: Headers, names: tuple[str, ...]) -> None:
    """Check that no other site's page sent the request. One without an Origin header comes from no browser's page.

    Raises:
        RefusedError: the origin is neither the request's own host nor among `names`.
    """
    for origin in headers.getlist("origin"):
        parts = split_url(origin)
        is_same = parts is not None and parts.netloc.lower() == headers["host"].lower()
        is_named = parts is not None and is_allowed((parts.hostname or "").rstrip("."), names)
        if not (is_same or is_named):
            raise RefusedError("origin", 403, "another site's page may not use this app")


def hostname(host: str) -> str | None:
    """The name in a Host header, in lower case, without port and final dot; None if it is malformed."""
    parts = split_url(f"//{host}")
    name = (parts.hostname or "").rstrip(".") if parts and parts.netloc == host and "@" not in host else ""
    return name if len(name) <= MAX_HOST_LENGTH and HOST_NAME.fullmatch(name) else None


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL; None if its host or port is malformed."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def is_allowed(name: str, names: tuple[str, ...]) -> bool:
    """Whether a host is among names; *.NAME stands for every name below NAME."""
    return any(name.endswith(each[1:]) if each.startswith("*.") else name == each for each in names)
