"""The real server and a real browser: what the guard forbids is forbidden, and every page works under it."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from app_server import app_server
from browser import PATIENCE, visiting
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from segviz.catalogue.checkpoint_file import load_checkpoint, write_checkpoint
from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import VAL
from segviz.text import WORD_JOINER
from segviz.ui.page_table import ROWS

PLANTED = Path(__file__).parent / "planted_app.py"
RESTING = "[data-testid=stApp][data-test-script-state=notRunning]"

pytestmark = pytest.mark.timeout(600)


class Beacon:
    """A server elsewhere (another port is another origin) that counts who comes."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        hits = self.hits

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hits.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def markup(self) -> str:
        """A text that fetches from here, or runs a script, wherever it is taken for Markdown or HTML."""
        url = f"http://127.0.0.1:{self.server.server_port}"
        return (
            f"![a]({url}/b) <img src={url}/c onerror=alert(1)> <script>alert(2)</script> [d](javascript:alert(3)) $x$"
        )


@pytest.fixture(scope="module")
def beacon() -> Iterator[Beacon]:
    found = Beacon()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted") / "log"


@pytest.fixture(scope="module")
def planted(log: Path) -> Iterator[str]:
    """The planted page's server, with narrow limits."""
    limits = {"SEGVIZ_UPLOADS_MB": "3", "SEGVIZ_LOG_LEVEL": "info", "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1"}
    with app_server(log, PLANTED, **limits) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visiting(browser, viewport={"width": 1400, "height": 1000}) as opened:
        opened.set_default_timeout(PATIENCE)
        yield opened


def lines(log: Path) -> list[dict[str, str]]:
    """The records of a log; Streamlit also prints its address."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


# ---- who comes in ---------------------------------------------------------------------------------------


def asked(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Status and body of one request, with exactly these headers."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = "" if answer.status == 101 else answer.read().decode()
    connection.close()
    return answer.status, body


SOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "c2Vndml6IGlzIGhlcmUgOg==", "Sec_WebSocket_Protocol": "streamlit",
}  # fmt: skip


def test_a_rebound_name_gets_nothing_not_even_the_websocket(planted: str) -> None:
    here = urlsplit(planted).netloc
    assert asked(planted, "/_stcore/stream", **SOCKET, Host=here, Origin=planted)[0] == 101
    evil = {"Host": "attacker.example", "Origin": "http://attacker.example"}
    for path in ("/", "/_stcore/health", "/healthz", "/static/x.js", "/segviz/blob/x", "/media/x"):
        status, body = asked(planted, path, **evil)
        assert status == 403
        assert "SEGVIZ_ALLOWED_HOSTS" in body
    assert asked(planted, "/_stcore/stream", **SOCKET, **evil)[0] == 403
    for origin in ("http://attacker.example", "null", "http://localhost:1"):
        assert asked(planted, "/_stcore/stream", **SOCKET, Host=here, Origin=origin)[0] == 403


def test_an_upload_without_the_page_s_token_stays_out(planted: str) -> None:
    headers = {"Host": urlsplit(planted).netloc, "Content_Length": "0"}
    assert asked(planted, "/_stcore/upload_file/session/file", "PUT", **headers)[0] == 403


def test_health_and_metrics_tell_of_this_server(planted: str) -> None:
    with urlopen(f"{planted}/healthz") as answer:
        assert json.load(answer) == {"status": "ok", "problems": {}}
    with urlopen(f"{planted}/metrics") as answer:
        told = answer.read().decode()
    assert float(re.findall(r"^segviz_resident_memory_bytes (\S+)", told, re.MULTILINE)[0]) > 20 * 2**20
    for name in ("computation_seconds", "store_bytes", "errors_total", "refused_total"):
        assert f"# HELP segviz_{name.removesuffix('_total')}" in told


# ---- when a page fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["In the page", "In a fragment", "In a callback"])
def test_a_failing_page_shows_a_number_and_the_log_holds_the_traceback_under_it(
    planted: str, page: Page, log: Path, where: str
) -> None:
    page.goto(planted)
    page.get_by_role("button", name=where).click()
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_have_count(1)
    (number,) = re.findall(r"the number ([0-9a-f]{8})", alert.inner_text())
    assert "Something went wrong" in alert.inner_text()
    for secret in ("Traceback", "RuntimeError", "a secret", "planted_app.py", str(Path.cwd())):
        assert secret not in page.content()
    (record,) = (one for one in lines(log) if one.get("request") == number and "exception" in one)
    assert "RuntimeError: a secret of the server" in record["exception"]
    assert (record["level"], record["logger"]) == ("error", "segviz.ui.server")


def test_every_line_of_the_log_is_json(planted: str, log: Path) -> None:
    told = lines(log)
    assert {"uvicorn.error", "segviz.ui.server"} <= {one["logger"] for one in told}
    assert all({"time", "level", "message"} <= one.keys() for one in told)
    banner = r"|\s*(You can now view .*|URL: .*|\S* Uvicorn .*)?"
    late = [
        line for line in log.read_text().splitlines() if not line.startswith("{") and not re.fullmatch(banner, line)
    ]
    assert late == []


# ---- uploads --------------------------------------------------------------------------------------------


def held(address: str) -> float:
    with urlopen(f"{address}/metrics") as answer:
        found = re.findall(r'^segviz_store_bytes{store="uploads"} (\S+)', answer.read().decode(), re.MULTILINE)
    return float(found[0]) if found else 0.0


def test_uploads_beyond_the_bound_are_refused_and_an_abandoned_one_is_freed(
    planted: str, page: Page, browser: Browser
) -> None:
    page.goto(planted)
    page.locator("input[type=file]").set_input_files([{"name": "a", "mimeType": "x/y", "buffer": bytes(2 * 2**20)}])
    expect(page.get_by_text("2097152 bytes came")).to_be_visible()
    other = browser.new_page()
    other.goto(planted)
    other.locator("input[type=file]").set_input_files([{"name": "b", "mimeType": "x/y", "buffer": bytes(2 * 2**20)}])
    expect(other.get_by_text("413")).to_be_visible()
    end = time.monotonic() + 90
    while held(planted) < 2 * 2**20:
        assert time.monotonic() < end, "the upload was never counted"
        time.sleep(0.1)
    page.close()
    end = time.monotonic() + 55  # its time to live is 1 s here and 60 s elsewhere; a lost connection is found in 30 s
    while held(planted):
        assert time.monotonic() < end, "the upload outlived its session"
        time.sleep(0.1)
    other.reload()
    other.locator("input[type=file]").set_input_files([{"name": "b", "mimeType": "x/y", "buffer": bytes(2 * 2**20)}])
    expect(other.get_by_text("2097152 bytes came")).to_be_visible()
    other.close()


# ---- names with markup ----------------------------------------------------------------------------------


class Watched:
    """What a page did that it must not: dialogs, errors, and what the policy had to stop."""

    def __init__(self, page: Page) -> None:
        self.wrong: list[str] = []
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: "Content Security" in message.text and self.wrong.append(message.text))


def test_the_policy_stops_what_a_careless_page_would_fetch(planted: str, browser: Browser, beacon: Beacon) -> None:
    for bypass in (True, False):  # without the policy, to show that this test can fail
        context = browser.new_context(bypass_csp=bypass)
        page = context.new_page()
        watched = Watched(page)
        before = len(beacon.hits)
        page.goto(f"{planted}/?show={quote(beacon.markup)}")
        expect(page.get_by_role("heading", name="Planted")).to_be_visible()
        expect(page.locator(RESTING)).to_be_attached()
        page.locator("[data-testid=stMarkdown] img").first.wait_for(state="attached", timeout=PATIENCE)
        page.wait_for_timeout(500)
        assert (len(beacon.hits) > before) == bypass
        assert bool(watched.wrong) != bypass
        context.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, beacon: Beacon) -> Iterator[str]:
    """The app with the bundled models, of which one says markup of itself wherever its record holds words."""
    folder = tmp_path_factory.mktemp("checkpoints")
    shutil.copytree(checkpoints_folder(), folder, dirs_exist_ok=True)
    model, record = load_checkpoint(folder / "psa.safetensors")
    names = tuple(f"{name} {beacon.markup}" for name in record.classes)
    renamed = dict(zip(record.classes, names, strict=True))
    scores = {
        name: replace(
            one,
            data=beacon.markup,
            iou={renamed[each]: share for each, share in one.iou.items()},
            boundary_iou={renamed[each]: share for each, share in one.boundary_iou.items()},
        )
        for name, one in record.evaluations.items()
    }
    assert VAL in scores
    cost = None if record.cost is None else replace(record.cost, hardware=beacon.markup)
    told = {"classes": names, "evaluations": scores, "hardware": beacon.markup, "cost": cost}
    write_checkpoint(folder / "psa.safetensors", model, replace(record, **told))
    (folder / "fcn.safetensors").write_bytes(b"damaged")
    log = tmp_path_factory.mktemp("server") / "log"
    with app_server(log, SEGVIZ_CHECKPOINTS=str(folder)) as address:
        yield address
    assert [one for one in lines(log) if one["level"] == "error"] == []


def opened(page: Page, address: str, path: str) -> None:
    """A page of the app, at rest, with its pictures drawn."""
    page.goto(f"{address}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(RESTING)).to_be_attached()
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("key", ROWS)
def test_every_page_works_under_the_policy_and_markup_stays_text(
    hostile: str, page: Page, beacon: Beacon, key: str
) -> None:
    watched = Watched(page)
    opened(page, hostile, ROWS[key].address)
    if ROWS[key].has_picture:
        expect(page.locator(".stage[data-ready='1']").first).to_be_visible()
    page.wait_for_timeout(1000)  # what would be fetched is on its way
    assert watched.wrong == []
    assert page.locator(f"img[src*='{beacon.server.server_port}']").count() == 0
    assert not [hit for hit in beacon.hits if hit not in ("/b", "/c")]
    assert page.request.get(hostile).headers["content-security-policy"]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "usable"), [("{}.png", True), ("../../{}.svg.png", False)])
def test_an_upload_named_with_markup_is_only_a_name(
    hostile: str, page: Page, beacon: Beacon, form: str, usable: bool
) -> None:
    watched, before = Watched(page), len(beacon.hits)
    opened(page, hostile, "sam")
    page.get_by_test_id("stSidebar").get_by_text("My picture").click()
    buffer = io.BytesIO()
    Image.fromarray(np.full((96, 120, 3), 90, np.uint8)).save(buffer, "PNG")
    content = buffer.getvalue() if usable else b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(4)'/>"
    file = {"name": form.format(beacon.markup), "mimeType": "image/png", "buffer": content}
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files([file])
    if usable:
        shown = page.get_by_test_id("stSidebar").get_by_text("Shown: ")
        expect(shown).to_be_visible()
        assert shown.inner_text().replace(WORD_JOINER, "") == f"Shown: {file['name']}"
        expect(page.locator(".stage[style*='120 / 96'][data-ready='1']").first).to_be_visible()
    else:
        expect(page.get_by_test_id("stFileChipName")).to_have_attribute("title", file["name"])
        told = page.get_by_test_id("stAlert").first
        expect(told).to_contain_text("cannot be used: SVG is not supported; use PNG")
        assert "\\" not in told.inner_text()  # a name is escaped once
    page.wait_for_timeout(1000)
    assert (watched.wrong, len(beacon.hits)) == ([], before)


# ---- settings -------------------------------------------------------------------------------------------


def test_a_bad_setting_ends_the_start_with_its_name(tmp_path: Path) -> None:
    wrong = pytest.raises(RuntimeError, match="SEGVIZ_VISITORS=none: use a whole number")
    with wrong, app_server(tmp_path / "log", SEGVIZ_VISITORS="none"):
        pass
