"""Bounds on the body of a request: how slowly it may come, and how long an upload's name may be."""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from segviz.server.quotas import RefusedError
from segviz.settings import KIB

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # they change nothing
UPLOAD_PATH = re.compile(r"/_stcore/upload_file/([^/]+)/[^/]+$")
GRACE = 10.0  # seconds before an upload's rate counts
PART_HEAD = 4 * KIB  # bytes in which an upload's content has to begin; its name comes before


class BodyError(OSError):
    """A request's body exceeds a bound. On an OSError, starlette frees what it has received of an upload.

    Args:
        refusal: the answer.
    """

    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def bound_body(scope: Scope, receive: Receive, rate: int) -> Receive:
    """`receive`, but with a BodyError if the body comes too slowly, or has too long a name before its content.

    Args:
        scope: the request's.
        receive: the server's.
        rate: the lowest rate allowed, in bytes a second; 0 for any.

    Raises:
        BodyError: what it returns raises it.
    """
    if scope["method"] in SAFE_METHODS:
        return receive
    is_form = Headers(scope=scope).get("content-type", "").startswith("multipart/")
    start, received, more, head = asyncio.get_running_loop().time(), 0, True, b""

    async def receive_in_bounds() -> Message:
        nonlocal received, more, head
        if not more:  # only the end of the connection is left to receive
            return await receive()
        try:
            async with asyncio.timeout_at(start + GRACE + received / rate if rate else None):
                message = await receive()
        except TimeoutError:
            sentence = f"the upload arrives at less than {rate // KIB} KiB a second; use a faster connection"
            raise BodyError(RefusedError("slow", 408, sentence)) from None
        body = message.get("body", b"")
        if is_form and len(head) < PART_HEAD:
            head += body[: PART_HEAD - len(head)]
            if len(head) == PART_HEAD and b"\r\n\r\n" not in head:
                raise BodyError(RefusedError("uploads", 413, "the file's name is too long; rename the file"))
        received += len(body)
        more = message.get("more_body", False)
        return message

    return receive_in_bounds
