"""Finds Chromium for tests that need a real browser, and starts it without a display."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# By how many pixels each part of the page that is too wide can be scrolled sideways.
WIDER = """() => ['html', '[data-testid=stApp]', '[data-testid=stMain]', '[data-testid=stMainBlockContainer]']
    .flatMap((name) => [...document.querySelectorAll(name)])
    .map((one) => one.scrollWidth - one.clientWidth).filter((more) => more > 0)"""


def executable() -> str | None:
    """The browser that CHROMIUM names, or one on the PATH; None for Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"CHROMIUM={named} is not a file; set it to the path of a browser")
        return named
    return next((path for name in NAMES if (path := shutil.which(name))), None)


PATIENCE = 90_000  # milliseconds that `expect` and actions wait: a busy machine is slow, not wrong
AT_DESK = {"viewport", "reduced_motion", "color_scheme"}  # settings that a page can have without its context
CONTEXTS: WeakKeyDictionary[Browser, dict[str, BrowserContext]] = WeakKeyDictionary()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; skips the test if there is none, or fails it where REQUIRE_BROWSER is set.

    Its first context has a profile on disk. There alone Chromium keeps scripts compiled, which takes a third off each
    visit of the app.
    """
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright, TemporaryDirectory("-segviz", ignore_cleanup_errors=True) as profile:
        launch = playwright.chromium.launch_persistent_context
        try:
            context = launch(profile, executable_path=executable(), args=list(FLAGS))
        except Error as error:
            give_up = pytest.fail if os.environ.get("REQUIRE_BROWSER") else pytest.skip
            give_up(f"no Chromium: set CHROMIUM, or run `playwright install chromium` ({str(error)[:200]})")
        assert context.browser is not None
        try:
            yield context.browser
        finally:
            context.close()


class SharedBrowser:
    """One browser for all test files of a worker.

    Playwright keeps an event loop running in the main thread, where `asyncio.run` then fails: close it before a file
    that needs no browser.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._browser: Browser | None = None

    def open(self) -> Browser:
        """The browser, started if it is not running."""
        if self._browser is None:
            self._browser = self._stack.enter_context(chromium())
        return self._browser

    def close(self) -> None:
        """End it, if it is running."""
        self._browser = None
        self._stack.close()


@contextmanager
def visiting(browser: Browser, **settings: Any) -> Iterator[Page]:
    """A new visitor's page, without storage from before.

    Visitors with the same settings share a context, and so the browser's cache: loading Streamlit's scripts again takes
    longer than most tests. Those at a desk share the one with a profile. Storage and cookies are cleared after each.
    """
    page = new_page(browser, **settings)
    context = page.context
    try:
        yield page
    finally:
        with suppress(Error):  # the page loaded nothing, or is closed
            page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.close()
        context.clear_cookies()


def new_page(browser: Browser, person: str = "", **settings: Any) -> Page:
    """A page in the context that visitors with these settings share, and no other `person`."""
    if not person and settings.keys() <= AT_DESK:
        page = browser.contexts[0].new_page()
        page.set_viewport_size(settings.pop("viewport", {"width": 1280, "height": 720}))
        page.emulate_media(**settings)
        return page
    name = repr((person, sorted(settings.items())))
    shared = CONTEXTS.setdefault(browser, {})
    if name not in shared:
        shared[name] = browser.new_context(**settings)
    return shared[name].new_page()


def settles(read: Callable[[], str | None], wanted: float, within: float, seconds: float = 60) -> None:
    """Wait until a number on the page has the wanted value; fail with the last value read."""
    end = time.monotonic() + seconds
    while True:
        text = read() or "nan"
        if abs(float(text) - wanted) <= within:
            return
        assert time.monotonic() < end, f"{text} did not become {wanted}"
        time.sleep(0.1)
