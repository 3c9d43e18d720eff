"""Attacks on the real server, planted with the bounds that it has to keep. Each was seen to bring it down before."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx
import psutil
import pytest
import websockets
from app_server import app_server
from load_client import TOKEN, Visitor
from streamlit.proto.BackMsg_pb2 import BackMsg

PAGES = ("psa", "inspect", "results", "compare", "sam", "", "attribution", "same_pixel")
MIB = 2**20
COUNTING = Path(__file__).parent / "counting_app.py"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked") / "log"


@pytest.fixture(scope="module")
def server(log: Path) -> Iterator[str]:
    """The app, once it has loaded its libraries."""
    with app_server(log, STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL="2") as address:
        while ask_health(address) > 0.3:
            time.sleep(1)
        yield address


def ask_health(address: str) -> float:
    """Seconds until /healthz answers."""
    begin = time.perf_counter()
    with urlopen(f"{address}/healthz", timeout=90) as answer:
        answer.read()
    return time.perf_counter() - begin


def worst_health(address: str, attack: Callable[[], object]) -> float:
    """The longest that /healthz takes while an attack goes on, and for two seconds after it."""
    seconds, over = [ask_health(address)], Event()

    def watch() -> None:
        while not over.is_set():
            seconds.append(ask_health(address))
            time.sleep(0.1)

    watcher = Thread(target=watch)
    watcher.start()
    attack()
    time.sleep(2)
    over.set()
    watcher.join()
    return max(seconds)


def find_process(address: str) -> psutil.Process:
    """The server's process."""
    port = str(urlsplit(address).port)
    return next(each for each in psutil.Process().children(recursive=True) if port in each.cmdline())


# ---- messages -------------------------------------------------------------------------------------------


def rerun(number: int) -> bytes:
    """A press of a button on one page after the other, which nothing may merge."""
    message = BackMsg()
    message.rerun_script.page_name = PAGES[number % len(PAGES)]
    message.rerun_script.widget_states.widgets.add(id=f"$$ID-{number}", trigger_value=True)
    return message.SerializeToString()


async def flood(address: str, messages: int, rate: float) -> None:
    """One websocket that sends messages at a rate and goes."""
    url = address.replace("http", "ws") + "/_stcore/stream"
    protocols = [websockets.Subprotocol("streamlit")]
    with suppress(websockets.ConnectionClosed):
        async with websockets.connect(url, subprotocols=protocols, max_size=None, close_timeout=0.1) as sender:
            for number in range(messages):
                await sender.send(rerun(number))
                await asyncio.sleep(1 / rate)


@pytest.mark.parametrize(
    ("websockets_at_once", "messages", "rate"),
    [(1, 1000, 1e6), (4, 1000, 1e6), (1, 2000, 1e6), (10, 300, 20)],
    ids=["a thousand", "four thousand", "two thousand", "ten at their bound"],
)
def test_a_few_kilobytes_of_reruns_do_not_freeze_the_server(
    server: str, websockets_at_once: int, messages: int, rate: float
) -> None:
    async def attack() -> None:
        await asyncio.gather(*(flood(server, messages, rate) for _ in range(websockets_at_once)))

    threads = find_process(server).num_threads()
    assert worst_health(server, lambda: asyncio.run(attack())) < 5  # 36 s, and minutes, before; alone it takes 0.1 s
    end = time.monotonic() + 20
    while find_process(server).num_threads() > threads + 4:
        assert time.monotonic() < end, "script runs go on although their websockets are closed"
        time.sleep(0.5)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_visitor_who_presses_a_button_thirty_times_loses_nothing(tmp_path: Path, seconds: float) -> None:
    async def check(address: str) -> None:
        async with Visitor(address) as visitor:
            await visitor.run()
            visitor.set("button", "Count", trigger_value=True)
            for _ in range(30):
                await visitor.click()
                await asyncio.sleep(seconds / 30)
            visitor._states.clear()
            await visitor.seconds_until_settled()
            view = await visitor.run()
            assert ([text.body for text in view.of("text")], view.errors) == (["30"], [])

    with app_server(tmp_path / "log", COUNTING) as address:
        asyncio.run(check(address))


# ---- frames ---------------------------------------------------------------------------------------------


def connect(address: str) -> socket.socket:
    """An open websocket, below any client's own rules."""
    host = urlsplit(address).netloc
    opened = socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=30)
    opened.sendall(
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2Vndml6IGlzIGhlcmUgOg==\r\n"
        "Sec-WebSocket-Protocol: streamlit\r\n\r\n".encode()
    )
    assert b" 101 " in opened.recv(4096)
    return opened


def frame(opcode: int, length: int, final: bool = True) -> bytes:
    """The head of a masked frame; its content may follow, or never come."""
    size = bytes([0x80 | length]) if length < 126 else b"\xff" + struct.pack("!Q", length)
    return bytes([0x80 * final | opcode]) + size + bytes(4)


FRAMES = {
    "unfinished": (frame(2, 190_000_000), bytes(MIB), 190),
    "empty fragments": (frame(2, 0, False), frame(0, 0, False) * 20_000, 40),
    "unread pings": (b"", (frame(9, 125) + bytes(125)) * 2000, 190),
    "text": (b"", frame(1, 2) + b"\xff\xfe", 1),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_what_a_websocket_makes_the_server_hold_is_bounded(server: str, log: Path, kind: str) -> None:
    first, part, mebibytes = FRAMES[kind]
    process = find_process(server)

    def send(to: socket.socket) -> None:
        with suppress(OSError):  # closed by the server
            to.sendall(first)
            for _ in range(mebibytes * MIB // len(part)):
                to.sendall(part)

    with ExitStack() as stay:
        opened = [stay.enter_context(connect(server)) for _ in range(8)]
        before, logged = process.memory_info().rss, log.read_text().count("Traceback")
        senders = [Thread(target=send, args=(each,)) for each in opened]

        def attack() -> None:
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()

        assert worst_health(server, attack) < 5
        assert process.memory_info().rss - before < 64 * MIB  # 1.1 GB before
    assert log.read_text().count("Traceback") == logged


# ---- uploads --------------------------------------------------------------------------------------------


def test_names_of_uploads_count_and_are_bounded(server: str) -> None:
    async def check() -> list[int]:
        async with Visitor(server) as visitor:
            await visitor.run("psa")
            headers = {"X-Xsrftoken": TOKEN, "Origin": server}
            async with httpx.AsyncClient(base_url=server, cookies={"_streamlit_xsrf": TOKEN}, timeout=60) as client:

                async def put(file: str, name: str) -> int:
                    path = f"/_stcore/upload_file/{visitor.session}/{file}"
                    return (await client.put(path, files={"file": (name, b"x")}, headers=headers)).status_code

                return [await put("a", "n" * 60_000), await put("f" * 60_000, "n"), await put("c", "n" * 200)]

    assert asyncio.run(check()) == [413, 414, 204]
