"""The app inside another site's page, in a real browser: only where the operator names that site."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from app_server import app_server
from browser import PATIENCE, visiting
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """A site of its own, on a free port; yields its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_only_the_named_site_shows_the_app_in_a_frame(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as stack:
        named, other = (stack.enter_context(serve_folder(tmp_path)) for _ in range(2))
        app = stack.enter_context(app_server(tmp_path / "log", SEGVIZ_FRAME_ANCESTORS=named))
        page = stack.enter_context(visiting(browser))
        (tmp_path / "index.html").write_text(f'<iframe src="{app}/psa" width="1200" height="900"></iframe>')
        page.goto(named)
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading", level=1)).to_have_text("Point-wise spatial attention")
        stage = frame.locator(".stage[data-panel='Collect'][data-ready='1']")
        stage.click(timeout=PATIENCE)  # the websocket, the maps and the pins work there too
        expect(frame.get_by_label("Show pin 1")).to_be_visible()

        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(other)
        assert [one.url for one in page.frames[1:]] == ["chrome-error://chromewebdata/"]
        expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_count(0)


def test_no_site_shows_the_app_by_default(browser: Browser, tmp_path: Path) -> None:
    with serve_folder(tmp_path) as site, app_server(tmp_path / "log") as app, visiting(browser) as page:
        (tmp_path / "index.html").write_text(f'<iframe src="{app}/psa"></iframe>')
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(site)
        assert [one.url for one in page.frames[1:]] == ["chrome-error://chromewebdata/"]
