"""The pump of a websocket's messages: nothing that a visitor does is lost, and no flood comes through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from starlette.types import Message
from streamlit.proto.BackMsg_pb2 import BackMsg

from segviz.server import message_pump
from segviz.server.message_pump import MessagePump
from segviz.server.message_rules import NoRules, Run
from segviz.server.rates import AddressBuckets, TokenBucket
from segviz.ui.rerun_messages import WIDGETS, RerunRules

STREET, BUTTON = "$$ID-street", "$$ID-button"


def rerun(street: int | None = None, page: str = "psa", pressed: bool = False, fragment: str = "") -> bytes:
    """A message that asks for a rerun, as the browser sends it."""
    message = BackMsg()
    message.rerun_script.page_name, message.rerun_script.fragment_id = page, fragment
    if street is not None:
        message.rerun_script.widget_states.widgets.add(id=STREET, int_value=street)
    if pressed:
        message.rerun_script.widget_states.widgets.add(id=BUTTON, trigger_value=True)
    return message.SerializeToString()


@dataclass
class Socket:
    """A websocket whose visitor sends `messages` at once and then waits, or goes."""

    messages: list[bytes | str]
    goes: bool = False
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        if self.messages:
            data = self.messages.pop(0)
            return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
        if not self.goes:
            await asyncio.Event().wait()
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


class Runs(RerunRules):
    """Each message that is handed on starts a run that never ends by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[bool] = []

    def started_runs(self) -> Sequence[Run]:
        number = len(self.alive)
        self.alive.append(True)
        run = type("Forever", (), {"is_alive": lambda _: self.alive[number]})
        return [run()] if number > 1 else []  # the first two calls come before any message


def pump_of(
    socket: Socket, rate: float = 1000, burst: float = 40, rules: NoRules | RerunRules | None = None
) -> MessagePump:
    pump = MessagePump(socket.receive, socket.send, [TokenBucket(rate, burst)], rules or RerunRules())
    pump._is_connected = True
    return pump


async def receive_for(pump: MessagePump, seconds: float) -> list[bytes | int]:
    """The messages that come within a time, and the code of the disconnect."""
    received: list[bytes | int] = []
    try:
        async with asyncio.timeout(seconds):
            while not received or isinstance(received[-1], bytes):
                message = await pump.receive()
                received.append(message["bytes"] if message["type"] == "websocket.receive" else message["code"])
    except TimeoutError:
        pass
    await pump.stop()
    return received


def received(socket: Socket, seconds: float = 0.3, **options: object) -> list[bytes | int]:
    return asyncio.run(_received(socket, seconds, options))


async def _received(socket: Socket, seconds: float, options: dict[str, object]) -> list[bytes | int]:
    return await receive_for(pump_of(socket, **options), seconds)  # type: ignore[arg-type]


def test_thirty_clicks_in_a_moment_all_come_through_in_their_order() -> None:
    clicks: list[bytes | str] = [rerun(street, pressed=True) for street in range(30)]
    assert received(Socket(list(clicks))) == clicks


def test_of_a_slider_that_is_dragged_the_last_value_comes_and_values_in_between_may_be_left_out() -> None:
    moves: list[bytes | str] = [rerun(street) for street in range(30)]
    values = received(Socket(list(moves)))
    assert values[-1] == moves[-1]
    assert values == [move for move in moves if move in values]


def test_buttons_fragments_and_other_pages_are_never_left_out() -> None:
    kept: list[bytes | str] = [
        rerun(1), rerun(2, pressed=True), rerun(3), rerun(3, fragment="one"), rerun(4), rerun(5, page="sam"),
        rerun(6, page="sam", pressed=True), BackMsg(stop_script=True).SerializeToString(), rerun(7, page="sam"),
    ]  # fmt: skip
    assert received(Socket(list(kept))) == kept
    assert received(Socket([rerun(page="psa"), rerun(page="sam"), rerun(page="fla")])) == [rerun(page="fla")]


def test_messages_are_handed_on_at_their_rate_and_what_waits_is_dropped_when_the_visitor_goes() -> None:
    flood: list[bytes | str] = [rerun(number, pressed=True) for number in range(100)]
    start = time.monotonic()
    steady = received(Socket(list(flood)), 0.5, rate=20, burst=5)
    assert 5 <= len(steady) <= 5 + 20 * (time.monotonic() - start) + 1
    assert received(Socket(list(flood), goes=True)) == [1001]


def test_at_most_three_runs_of_a_websocket_are_under_way() -> None:
    async def check() -> None:
        rules = Runs()
        pump = pump_of(Socket([rerun(number, pressed=True) for number in range(9)]), rules=rules)
        await pump.receive()
        for _ in range(message_pump.RUNS_AT_ONCE):
            await pump.receive()
        waiting = asyncio.create_task(pump.receive())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        rules.alive[2] = False
        await asyncio.wait_for(waiting, 1)
        await pump.stop()

    asyncio.run(check())


TOO_MANY = BackMsg()
for number in range(WIDGETS + 1):
    TOO_MANY.rerun_script.widget_states.widgets.add(id=f"$$ID-{number}")


@pytest.mark.parametrize(
    ("messages", "code", "why"),
    [
        (["text"], 1003, "binary"),
        ([b"\xff\xfe"], 1008, "not one of Streamlit's"),
        ([TOO_MANY.SerializeToString()], 1008, "more than 1000 widgets"),
        ([bytes(message_pump.MESSAGE_BYTES + 1)], 1009, "1024 KiB"),
        ([rerun() for _ in range(1000)], 1008, "more than 50 messages a second"),
    ],
)
def test_a_websocket_that_breaks_a_bound_is_closed_and_the_reason_said(
    messages: list[bytes | str], code: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    socket = Socket(messages)
    assert received(socket) == [code]
    assert [(one["type"], one["code"]) for one in socket.sent] == [("websocket.close", code)]
    assert why in socket.sent[0]["reason"]
    assert len(socket.sent[0]["reason"].encode()) <= 123, "a close frame has no room for more"
    assert "Traceback" not in caplog.text and why in caplog.text


def test_a_visitor_who_has_gone_before_the_refusal_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    socket = Socket(["text"])

    async def send(_: object) -> None:
        raise ConnectionError("the connection is closed")

    socket.send = send  # type: ignore[method-assign]
    assert received(socket) == [1003] and "Traceback" not in caplog.text


def test_a_websocket_that_cannot_be_read_counts_as_closed(caplog: pytest.LogCaptureFixture) -> None:
    socket = Socket([])

    async def receive() -> Message:
        raise RuntimeError("the protocol is in a wrong state")

    socket.receive = receive  # type: ignore[method-assign]
    assert received(socket) == [1006] and "it counts as closed" in caplog.text


def test_waiting_messages_are_bounded_by_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_pump, "ARRIVALS_AT_ONCE", 10_000)
    many: list[bytes | str] = [rerun(number, pressed=True) for number in range(message_pump.BACKLOG_MESSAGES + 50)]
    assert received(Socket(many), rate=1, burst=1)[-1] == 1008
    large: list[bytes | str] = [bytes(message_pump.BACKLOG_BYTES // 3)] * 5
    assert received(Socket(large), rate=1, burst=1, rules=NoRules())[-1] == 1008


def test_reconnecting_does_not_refill_an_address_s_bucket() -> None:
    rates = AddressBuckets(0.001, 3)
    assert [rates.find("a").take() for _ in range(5)] == [True, True, True, False, False]
    assert rates.find("b").take()
