"""Finds a Chromium for the tests that need a real browser, and starts it without a display."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright

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


def executable() -> str | None:
    """The browser named by CHROMIUM, else one on the PATH; None leaves it to Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"CHROMIUM={named} is no file; name the browser's executable")
        return named
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; skips the test if there is none, or fails it where REQUIRE_BROWSER is set."""
    expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        except Error as error:
            give_up = pytest.fail if os.environ.get("REQUIRE_BROWSER") else pytest.skip
            give_up(f"no Chromium: set CHROMIUM, or run `playwright install chromium` ({str(error)[:200]})")
        try:
            yield browser
        finally:
            browser.close()


def settles(read: Callable[[], str | None], wanted: float, within: float, seconds: float = 60) -> None:
    """Waits until a number in the page, read anew each time, is the wanted one; fails with the last one read."""
    end = time.monotonic() + seconds
    while True:
        text = read() or "nan"
        if abs(float(text) - wanted) <= within:
            return
        assert time.monotonic() < end, f"{text} did not become {wanted}"
        time.sleep(0.1)
