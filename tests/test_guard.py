"""The guard: whom it lets in, how many, how fast, and what its answers forbid."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from hashlib import sha256
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message
from starlette.websockets import WebSocket

from segviz.server import bodies, health, metrics
from segviz.server.guard import Guard
from segviz.server.headers import script_hashes
from segviz.server.hosts import hostname
from segviz.server.quotas import RefusedError, UploadQuota, client_address
from segviz.settings import SettingError, read_settings
from segviz.ui.server import answer_request_error

UPLOAD = "/_stcore/upload_file/{}/file"
HERE = "http://localhost:8501"


async def page(_: Request) -> Response:
    return PlainTextResponse("the app")


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.receive()


class Server:
    """An app behind the guard that keeps uploads as Streamlit does."""

    def __init__(self, **settings: str) -> None:
        self.held: dict[str, int] = {}
        self.app = Starlette(
            routes=[
                Route("/_stcore/upload_file/{session}/{file}", self.upload, methods=["PUT"]),
                WebSocketRoute("/_stcore/stream", stream),
                Route("/fails", self.fails),
                Route("/_stcore/metrics", page),
                *health.health_routes(),
                Route("/{path:path}", page, methods=["GET", "POST"]),
            ],
            middleware=[
                Middleware(Guard, limits=read_settings(settings), uploaded=lambda: self.held, names=("bound.example",))
            ],
            exception_handlers={Exception: answer_request_error},
        )

    async def upload(self, request: Request) -> Response:
        body = await request.body()
        session = request.path_params["session"]
        self.held[session] = self.held.get(session, 0) + len(body)
        return Response(status_code=204)

    async def fails(self, _: Request) -> Response:
        raise RuntimeError("a secret of the server")

    def client(self, address: str = "203.0.113.5", url: str = HERE) -> TestClient:
        return TestClient(self.app, base_url=url, client=(address, 4711), raise_server_exceptions=False)


@contextmanager
def refusals(reason: str) -> Iterator[list[float]]:
    """How many requests were refused for this reason meanwhile."""
    count = lambda: metrics.REGISTRY.get_sample_value("segviz_refused_total", {"reason": reason}) or 0.0  # noqa: E731
    before, found = count(), []
    yield found
    found.append(count() - before)


def denied(client: TestClient, **headers: str) -> int:
    """The status with which a websocket is refused; 101 where it is not."""
    try:
        with client.websocket_connect("/_stcore/stream", headers={"host": "localhost:8501", **headers}) as socket:
            socket.receive_text()
            return 101
    except WebSocketDenialResponse as response:
        return response.status_code


# ---- hosts and origins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost:8501", "127.0.0.1", "[::1]:8501", "LOCALHOST", "localhost.", "bound.example"]
)
def test_the_machine_s_own_names_come_in(host: str) -> None:
    client = Server().client()
    assert client.get("/", headers={"host": host}).status_code == 200
    assert denied(client, host=host) == 101


HOSTILE = [
    "attacker.example", "attacker.example:8501", "localhost.attacker.example", "localhost@attacker.example",
    "attacker.example/localhost", "10.1.2.3", "localhost:99999", "localhost:x", "[::1", "", "*.lab.example",
    "lab.example", "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTILE)
def test_a_name_rebound_to_this_machine_stays_out(host: str) -> None:
    client = Server(SEGVIZ_ALLOWED_HOSTS="*.lab.example").client()
    with refusals("host") as count:
        answer = client.get("/", headers={"host": host})
        assert (answer.status_code, denied(client, host=host, origin=f"http://{host}")) == (403, 403)
    assert count == [2]
    assert "not allowed" in answer.text and len(answer.text) < 400
    assert "the app" not in answer.text


def test_an_operator_s_names_come_in() -> None:
    client = Server(SEGVIZ_ALLOWED_HOSTS="segviz.example.org,*.lab.example").client()
    for host in ("segviz.example.org", "a.lab.example:8080", "a.b.lab.example"):
        assert client.get("/", headers={"host": host}).status_code == 200


def test_the_address_that_a_connection_comes_in_at_is_a_host() -> None:
    async def ask(server: str, host: str) -> int:
        scope = http("GET", host=host) | {"server": (server, 8501)}
        return (await told(Server().app, scope, []))["status"]

    assert asyncio.run(ask("192.0.2.7", "192.0.2.7:8501")) == 200
    assert asyncio.run(ask("::ffff:192.0.2.7", "192.0.2.7:8501")) == 200
    assert asyncio.run(ask("192.0.2.7", "192.0.2.8:8501")) == 403


def test_a_request_without_a_host_or_with_two_stays_out() -> None:
    for headers in ([], [(b"host", b"localhost"), (b"host", b"attacker.example")]):
        scope = http("GET") | {"headers": headers}
        assert asyncio.run(told(Server().app, scope, []))["status"] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:9999", "http://localhost.evil.example", ""]
)
def test_another_site_s_page_may_not_talk_to_the_app(origin: str) -> None:
    client = Server().client()
    with refusals("origin") as count:
        assert denied(client, origin=origin) == 403
        assert client.post("/", headers={"origin": origin}).status_code == 403
        assert client.put(UPLOAD.format("a"), content=b"x", headers={"origin": origin}).status_code == 403
    assert count == [3]
    assert client.get("/", headers={"origin": origin}).status_code == 200  # reading is the browser's to forbid


def test_the_app_s_own_page_may() -> None:
    client = Server(SEGVIZ_ALLOWED_HOSTS="proxy.example").client()
    for origin in (HERE, "https://proxy.example"):  # the second: a proxy that changes Host
        assert denied(client, origin=origin) == 101
        assert client.post("/", headers={"origin": origin}).status_code == 200
    assert denied(client) == 101  # no browser's page


@pytest.mark.parametrize(
    ("host", "name"),
    [("A.Example:80", "a.example"), ("[::1]:80", "::1"), ("a@b", None), ("a/b", None), ("a?b", None), ("", None)],
)
def test_names_are_read_from_hosts(host: str, name: str | None) -> None:
    assert hostname(host) == name


# ---- how many -------------------------------------------------------------------------------------------


def test_one_address_gets_its_share_of_open_pages_and_all_together_no_more_than_there_are() -> None:
    server = Server(SEGVIZ_VISITORS="3", SEGVIZ_VISITORS_PER_ADDRESS="2")
    one, other, third = (server.client(address) for address in ("203.0.113.5", "203.0.113.6", "203.0.113.7"))
    with ExitStack() as stay, refusals("visitors") as count:
        for client in (one, one):
            stay.enter_context(client.websocket_connect("/_stcore/stream"))
        assert denied(one) == 429
        last = stay.enter_context(other.websocket_connect("/_stcore/stream"))
        assert denied(third) == 503
        full = third.get("/", headers={"accept": "text/html"})
        assert (full.status_code, full.headers["retry-after"]) == (503, "10")
        assert "full; try again" in full.text
        assert third.get("/static/x.js").status_code == 200
        assert metrics.REGISTRY.get_sample_value("segviz_visitors") == 3
        last.close()
        wait_for_visitors(2)
        assert denied(third) == 101
    assert count == [3]
    wait_for_visitors(0)
    assert denied(one) == 101


def wait_for_visitors(count: int) -> None:
    """Returns when so many pages are open."""
    end = time.monotonic() + 10
    while metrics.REGISTRY.get_sample_value("segviz_visitors") != count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_requests_under_way_are_bounded() -> None:
    async def check() -> None:
        server = Server(SEGVIZ_REQUESTS="3", SEGVIZ_REQUESTS_PER_ADDRESS="2")
        async with waiting(server, "203.0.113.5"), waiting(server, "203.0.113.5"):
            assert (await told(server.app, http("GET"), []))["status"] == 429
            async with waiting(server, "203.0.113.6"):
                assert (await told(server.app, http("GET", client="203.0.113.7"), []))["status"] == 503
            assert (await told(server.app, http("GET", client="203.0.113.7"), []))["status"] == 200
        assert (await told(server.app, http("GET"), []))["status"] == 200

    asyncio.run(check())


def test_addresses_are_counted_as_their_owners_have_them() -> None:
    same = {client_address({"client": (one, 1)}) for one in ("2001:db8::1", "2001:db8::ffff:1")}
    assert same == {"2001:db8::/64"}
    assert (
        client_address({"client": ("::ffff:203.0.113.5", 1)})
        == client_address({"client": ("203.0.113.5", 9)})
        == "203.0.113.5"
    )
    assert client_address({"client": None}) == ""


MEBI = 1024**2


def test_one_address_s_uploads_are_bounded_however_many_sessions_and_files_it_uses() -> None:
    server = Server(SEGVIZ_UPLOADS_MB="50", SEGVIZ_UPLOADS_MB_PER_ADDRESS="30")
    one, other = server.client(), server.client("203.0.113.6")
    with refusals("uploads") as count:
        given = [one.put(UPLOAD.format(f"session-{number}"), content=bytes(9 * MEBI)) for number in range(4)]
        assert [answer.status_code for answer in given] == [204, 204, 204, 413]
        assert "this address has reached its limit of uploads" in given[3].text
        assert other.put(UPLOAD.format("other"), content=bytes(20 * MEBI)).status_code == 204
        full = server.client("203.0.113.7").put(UPLOAD.format("third"), content=bytes(9 * MEBI))
        assert (full.status_code, sum(server.held.values())) == (413, 47 * MEBI)
    assert count == [2]
    server.held.pop("session-0")  # its visitor has left
    assert one.put(UPLOAD.format("session-9"), content=bytes(9 * MEBI)).status_code == 204


def test_uploads_under_way_count_and_a_failed_one_gives_its_room_back() -> None:
    held: Mapping[str, int] = {}
    uploads = UploadQuota(lambda: held, 100, 100)
    with (
        uploads.hold("a", "x", "60"),
        pytest.raises(RefusedError, match="this server has reached its limit of uploads"),
        uploads.hold("b", "y", "60"),
    ):
        pass
    with pytest.raises(RuntimeError), uploads.hold("b", "y", "100"):
        raise RuntimeError("the line broke")
    with uploads.hold("b", "y", "100"):
        pass


@pytest.mark.parametrize("length", [None, "-1", "1e3", "x", "9" * 30])
def test_an_upload_must_say_its_length(length: str | None) -> None:
    with pytest.raises(RefusedError) as caught, UploadQuota(dict, 100, 100).hold("a", "x", length):
        pass
    assert caught.value.status == 411


# ---- how fast -------------------------------------------------------------------------------------------


def test_a_trickling_upload_is_ended_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE", 0.5)
    server = Server(SEGVIZ_UPLOAD_RATE_KB="1")
    other: list[int] = []

    async def trickle() -> Message:
        await asyncio.sleep(0.03)
        if not other:
            other.append((await told(server.app, http("GET"), []))["status"])
        return {"type": "http.request", "body": b"x", "more_body": True}

    scope = http("PUT", UPLOAD.format("slow"), **{"content-length": "5000"})
    with refusals("slow") as count:
        answer = asyncio.run(told(server.app, scope, trickle))
    assert (answer["status"], other, count) == (408, [200], [1])
    assert server.held == {}


def test_a_steady_upload_takes_as_long_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE", 0.05)
    server = Server(SEGVIZ_UPLOAD_RATE_KB="1")
    parts = [b"x" * 512] * 6

    async def steady() -> Message:
        if len(parts) < 6:  # the first comes at once, and lets half a second for the next
            await asyncio.sleep(0.02)
        parts.pop()
        return {"type": "http.request", "body": b"x" * 512, "more_body": bool(parts)}

    scope = http("PUT", UPLOAD.format("steady"), **{"content-length": "3072"})
    assert asyncio.run(told(server.app, scope, steady))["status"] == 204
    assert server.held == {"steady": 3072}


# ---- what answers say -----------------------------------------------------------------------------------

FORBID = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("path", "host"), [("/", "localhost"), ("/healthz", "localhost"), ("/fails", "localhost"), ("/", "evil.example")]
)
def test_every_answer_carries_the_headers(path: str, host: str) -> None:
    headers = Server().client().get(path, headers={"host": host}).headers
    assert {name: headers.get(name) for name in FORBID} == FORBID
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"]
    assert "'unsafe-eval'" not in policy["script-src"]


def test_the_operator_says_whose_pages_may_show_the_app_in_a_frame() -> None:
    headers = Server(SEGVIZ_FRAME_ANCESTORS="self, https://*.wiki.example:8443").client().get("/").headers
    assert "frame-ancestors 'self' https://*.wiki.example:8443;" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


@pytest.mark.parametrize(
    "wrong", ["*", "wiki.example", "https://a;script-src", "javascript://a", "https://a/b", "'none'"]
)
def test_only_origins_may_show_the_app_in_a_frame(wrong: str) -> None:
    with pytest.raises(SettingError, match=r"SEGVIZ_FRAME_ANCESTORS.*use origins such as"):
        read_settings({"SEGVIZ_FRAME_ANCESTORS": wrong})


def test_an_upload_s_name_is_bounded() -> None:
    client = Server().client()
    given = {
        name: client.put(UPLOAD.format("a"), files={"file": (name, bytes(9000))}) for name in ("n" * 200, "n" * 5000)
    }
    assert [answer.status_code for answer in given.values()] == [204, 413]
    assert "name is too long" in given["n" * 5000].text
    assert client.put(UPLOAD.format("a" * 300), content=b"x").status_code == 414


def test_an_inline_script_is_known_by_its_hash() -> None:
    digest = b64encode(sha256(b"alert('x')").digest()).decode()
    assert script_hashes("<script>alert('x')</script><script src='y'></script>") == (f"'sha256-{digest}'",)


def test_what_fails_says_a_number_and_no_more() -> None:
    answer = Server().client().get("/fails")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "the number" in answer.text


# ---- watching -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/metrics", "/_stcore/metrics"])
def test_metrics_are_for_the_operator_alone(path: str) -> None:
    assert Server().client("203.0.113.5").get(path).status_code == 403
    assert Server().client("127.0.0.1").get(path).status_code == 200
    assert Server().client("::1").get(path).status_code == 200
    assert Server().client("::2").get(path).status_code == 403
    assert Server(SEGVIZ_METRICS_FROM="203.0.113.0/24").client("203.0.113.5").get(path).status_code == 200


# ---- helpers --------------------------------------------------------------------------------------------


def http(method: str, path: str = "/", client: str = "203.0.113.5", **headers: str) -> dict[str, Any]:
    """An ASGI scope."""
    named = {"host": "localhost", **headers}
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": (client, 1),
        "server": ("127.0.0.1", 8501),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }  # fmt: skip


async def told(app: Any, scope: dict[str, Any], receive: Any) -> Message:
    """The start of the answer to a request whose body `receive` gives."""
    sent: list[Message] = []

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive or nothing, send)
    return sent[0]


@asynccontextmanager
async def waiting(server: Server, client: str) -> AsyncIterator[None]:
    """A request under way: its upload has begun and not ended."""
    begun, end = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        begun.set()
        await end.wait()
        return {"type": "http.request", "body": b"x", "more_body": False}

    scope = http("PUT", UPLOAD.format("session"), client, **{"content-length": "1"})
    task = asyncio.create_task(told(server.app, scope, receive))
    await begun.wait()
    yield
    end.set()
    assert (await task)["status"] == 204
