"""The messages of one websocket, handed to the app at a bounded rate, from a bounded backlog.

Streamlit 1.67 starts a thread for every message that asks for a rerun, however many run already, and handles all that
have arrived before it notices that the visitor has gone. So a few kilobytes of messages freeze it for minutes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from starlette.types import Message, Receive, Send

from segviz.server import metrics
from segviz.server.message_rules import MessageRules, Run
from segviz.server.rates import TokenBucket
from segviz.settings import KIB, MIB

MESSAGE_BYTES = 1 * MIB  # of one message; the largest of a page says which of 2,000 uploaded files it has
BACKLOG_BYTES = 1 * MIB  # of a websocket's waiting messages, unless a single one is larger
BACKLOG_MESSAGES = 500
ARRIVALS_PER_S, ARRIVALS_AT_ONCE = 50, 500  # a page sends at most some 30 a second, while its visitor drags a control
HANDED_AT_ONCE = 40
RUNS_AT_ONCE = 3  # script runs of one websocket: the newest, and replaced ones that have not reached their end
BEGIN_S = 0.2  # seconds for a run to see that a button was pressed, before the next message replaces it
RUN_LOOK_S = 0.02  # seconds between looks at whether a run has ended
UNSUPPORTED, VIOLATION, TOO_BIG = 1003, 1008, 1009  # close codes of RFC 6455, section 7.4.1

LOG = logging.getLogger(__name__)


class FaultError(Exception):
    """A websocket has to be closed.

    Args:
        code: the close code.
        sentence: the cause.
    """

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class MessagePump:
    """Reads a websocket at once and hands on what it has read as fast as is allowed.

    Call `receive` and `send` in place of the server's. After the end, whatever still waits is dropped.

    Args:
        receive: the server's.
        send: the server's, with the guard's headers.
        buckets: a token of each is needed to hand on a message.
        rules: what the app knows about its messages.
    """

    def __init__(self, receive: Receive, send: Send, buckets: Sequence[TokenBucket], rules: MessageRules) -> None:
        self._receive, self._send, self._buckets, self._rules = receive, send, buckets, rules
        self._arrivals = TokenBucket(ARRIVALS_PER_S, ARRIVALS_AT_ONCE)
        self._backlog: deque[bytes] = deque()
        self._bytes = 0
        self._runs: list[Run] = []
        self._beginning: Sequence[Run] = ()  # runs that may not be replaced yet,
        self._begun = 0.0  # and until when
        self._arrived, self._over = asyncio.Event(), asyncio.Event()
        self._end: Message = {"type": "websocket.disconnect", "code": 1006}
        self._is_connected = self._is_refused = False
        self._reader: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next message, as soon as it may be handed on; the disconnect as soon as it is known."""
        self._beginning = self._rules.started_runs() or self._beginning  # by the message that was handed on before
        self._runs.extend(run for run in self._beginning if run not in self._runs)
        if not self._is_connected:
            self._is_connected = True
            return await self._receive()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        while not self._over.is_set():
            if not self._backlog:
                self._arrived.clear()
                await self._arrived.wait()
            elif delay := self._delay():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), delay)
            else:
                return self._take()
        return self._end

    async def send(self, message: Message) -> None:
        """Send a message on.

        Raises:
            ConnectionError: the pump has closed the websocket.
        """
        if self._is_refused:
            raise ConnectionError("the guard has closed this websocket")
        await self._send(message)

    async def stop(self) -> None:
        """Stop reading, and drop what waits."""
        self._finish(self._end)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    def _delay(self) -> float:
        """Seconds until a message may be handed on, or until it is worth another look; 0 if one may be now."""
        if delay := max(bucket.delay() for bucket in self._buckets):
            return delay
        self._runs = [run for run in self._runs if run.is_alive()]
        begins = time.monotonic() < self._begun and any(run.is_alive() for run in self._beginning)
        return RUN_LOOK_S if begins or len(self._runs) >= RUNS_AT_ONCE else 0.0

    def _take(self) -> Message:
        for bucket in self._buckets:
            bucket.take()
        data = self._backlog.popleft()
        self._bytes -= len(data)
        self._begun = time.monotonic() + BEGIN_S * self._rules.must_begin(data)
        return {"type": "websocket.receive", "bytes": data}

    async def _read(self) -> None:
        try:
            while (message := await self._receive())["type"] == "websocket.receive":
                self._keep(message)
            self._finish(message)
        except FaultError as fault:
            metrics.count_refusal("messages")
            LOG.warning("a websocket is closed: %s; %d of its messages are dropped", fault, len(self._backlog))
            self._is_refused = True
            self._finish({"type": "websocket.disconnect", "code": fault.code})
            with suppress(OSError, RuntimeError):  # the visitor may have gone
                await self._send({"type": "websocket.close", "code": fault.code, "reason": str(fault)})
        except Exception:
            LOG.exception("a websocket could not be read; it counts as closed")
        finally:
            self._finish(self._end)  # unless that is done: whoever receives must not wait for ever

    def _keep(self, message: Message) -> None:
        """Append a message to the backlog, in place of the last one if that is superseded.

        Raises:
            FaultError: the message may not be sent, or there are too many.
        """
        data = message.get("bytes")
        if data is None:
            raise FaultError(UNSUPPORTED, "it sent text; send binary messages")
        if len(data) > MESSAGE_BYTES:
            raise FaultError(TOO_BIG, f"a message exceeds {MESSAGE_BYTES // KIB} KiB")
        if fault := self._rules.find_fault(data):
            raise FaultError(VIOLATION, fault)
        if not self._arrivals.take():
            raise FaultError(VIOLATION, f"it sends more than {ARRIVALS_PER_S} messages a second")
        if self._backlog and self._rules.supersedes(data, self._backlog[-1]):
            self._bytes -= len(self._backlog.pop())
        if self._backlog and (len(self._backlog) >= BACKLOG_MESSAGES or self._bytes + len(data) > BACKLOG_BYTES):
            raise FaultError(VIOLATION, "too many of its messages wait")
        self._backlog.append(data)
        self._bytes += len(data)
        self._arrived.set()

    def _finish(self, end: Message) -> None:
        """From now on there is nothing but the disconnect to receive."""
        if not self._over.is_set():
            self._end = end
            self._over.set()
            self._arrived.set()
            self._backlog.clear()
