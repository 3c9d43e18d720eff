"""Bounds on what one websocket may make uvicorn hold or parse before a message is complete.

uvicorn has one bound, on a message's bytes. It parses all that has arrived at once (0.3 seconds for 250 KB of empty
frames), keeps a list entry for each empty fragment, and writes a pong for each ping although nobody reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

from segviz.server.message_pump import BACKLOG_MESSAGES, MESSAGE_BYTES
from segviz.server.rates import TokenBucket
from segviz.settings import KIB, MIB

SLICE = 4 * KIB  # bytes to parse between two looks at the bounds
FRAMES_PER_S, FRAMES_AT_ONCE = 20, 200  # pings, pongs and fragments; browsers cut a MiB into 8 to 16 fragments
UNREAD_BYTES = 4 * MIB  # written, but not yet taken by the visitor

_frames: WeakKeyDictionary[WebSocketsSansIOProtocol, TokenBucket] = WeakKeyDictionary()


def bound_frames() -> None:
    """Bound all websockets of this process. May be called again."""
    protocol: Any = WebSocketsSansIOProtocol
    if protocol.data_received.__module__ == __name__:
        return
    protocol.data_received = receive_in_slices(protocol.data_received)
    protocol.handle_text = refuse_text
    for name in ("handle_cont", "handle_ping", "handle_pong"):
        setattr(protocol, name, count_frame(getattr(protocol, name)))


def receive_in_slices(receive: Callable[[Any, bytes], None]) -> Callable[[Any, bytes], None]:
    """`data_received` that checks the bounds after every few KiB."""

    def data_received(self: Any, data: bytes) -> None:
        if self not in _frames:
            _frames[self] = TokenBucket(FRAMES_PER_S, FRAMES_AT_ONCE)
            self.conn.max_message_size = min(self.conn.max_message_size or MESSAGE_BYTES, MESSAGE_BYTES)
        for start in range(0, len(data), SLICE):
            receive(self, data[start : start + SLICE])
            if self.transport.get_write_buffer_size() > UNREAD_BYTES or self.queue.qsize() > BACKLOG_MESSAGES:
                close(self, CloseCode.POLICY_VIOLATION, "too much waits")
            if self.close_sent or self.transport.is_closing():
                return

    return data_received


def count_frame(handle: Callable[..., None]) -> Callable[..., None]:
    """A handler of frames that carry no message of their own, at a bounded rate."""

    def handle_counted(self: Any, *frame: object) -> None:
        if _frames[self].take():
            handle(self, *frame)
        else:
            close(self, CloseCode.POLICY_VIOLATION, f"more than {FRAMES_PER_S} pings or fragments a second")

    return handle_counted


def refuse_text(self: Any, _: object) -> None:
    """Close: Streamlit speaks binary messages, and text that is not UTF-8 would end in the log as an exception."""
    close(self, CloseCode.UNSUPPORTED_DATA, "send binary messages")


def close(protocol: Any, code: CloseCode, reason: str) -> None:
    """Close a websocket, and cut it off from a visitor who does not read."""
    if protocol.close_sent or protocol.transport.is_closing():
        return
    protocol.conn.fail(code, reason)
    protocol.handle_parser_exception()
    if protocol.transport.get_write_buffer_size() > UNREAD_BYTES:
        protocol.transport.abort()
