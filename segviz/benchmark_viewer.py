"""How long the viewer takes from a pointer's move to the drawn maps, and what it tells the server meanwhile.

A headless Chromium moves a real pointer over the app's first page. The clock starts at the event's own time
stamp and stops when the frame's drawing is done; putting it on the screen comes after that.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

from segviz.benchmark import Report, machine
from segviz.paths import app_command, app_environment, app_script

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MOVES, WARM_UP, PAUSE = 60, 10, 25  # moves a round, moves before the first round, milliseconds between moves
PATIENCE = 120  # seconds that the app has to start, and as many to draw its first map
READY = '[data-panel][data-ready="1"]'

WATCH = """(stage) => {
  const taken = [];
  let moved = null;
  stage.addEventListener("pointermove", (event) => { moved ??= event.timeStamp; }, { capture: true });
  new MutationObserver(() => {
    if (moved !== null) taken.push(performance.now() - moved);
    moved = null;
  }).observe(stage, { attributes: true, attributeFilter: ["data-cell"] });
  stage.takeTimes = () => taken.splice(0);
}"""


def bench_viewer(url: str | None = None, rounds: int = 5) -> Report:
    """Hover over a page with the viewer.

    Args:
        url: of a running app, on the page and with the model to measure; one is started if not given.
        rounds: of MOVES moves each.

    Raises:
        RuntimeError: there is no Playwright or no browser, or the page shows no map.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError(
            "the viewer is measured with Playwright, which is not installed; pip install playwright"
        ) from None
    with running_app(url) as address, sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=browser_path(), args=["--no-sandbox", "--disable-quic"]
            )
        except Error:
            raise RuntimeError(
                "no Chromium starts; set CHROMIUM to one, or run `playwright install chromium`"
            ) from None
        with closing(browser):
            try:
                return measured(browser, address, rounds)
            except Error as error:
                raise RuntimeError(f"{address} could not be measured: {str(error).splitlines()[0]}") from None


def measured(browser: Any, address: str, rounds: int) -> Report:
    """The report of one page, in a browser of Playwright's."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    frames: list[int] = []
    page.on("websocket", lambda connection: count_frames(connection, frames))
    page.goto(address, timeout=PATIENCE * 1000)
    stages = page.locator(READY)
    try:
        stages.first.wait_for(timeout=PATIENCE * 1000)
    except PlaywrightTimeout:
        cure = "see that `python -m segviz models` lists a checkpoint, and that the page shows a picture"
        raise RuntimeError(f"{address} showed no map within {PATIENCE} seconds; {cure}") from None
    page.wait_for_timeout(2000)  # the page's last parts, and what they tell the server
    stage = stages.last
    stage.scroll_into_view_if_needed()
    stage.evaluate(WATCH)
    box = stage.bounding_box()
    if box is None:
        raise RuntimeError("the viewer is not in sight; open the page by hand and see")
    places = np.random.default_rng(0).uniform(0.05, 0.95, (WARM_UP + rounds * MOVES, 2))
    for number, (down, along) in enumerate(places):
        if number == WARM_UP:
            stage.evaluate("(stage) => stage.takeTimes()")
            frames.clear()
        page.mouse.move(box["x"] + along * box["width"], box["y"] + down * box["height"])
        page.wait_for_timeout(PAUSE)
    taken = np.array(stage.evaluate("(stage) => stage.takeTimes()"), np.float64)
    if not len(taken):
        raise RuntimeError("no map followed the pointer; choose a model with a map over places")
    row = {
        "moves": rounds * MOVES,
        "drawn": len(taken),
        "panels": stages.count(),
        "p50_ms": float(np.percentile(taken, 50)),
        "p95_ms": float(np.percentile(taken, 95)),
        "max_ms": float(taken.max()),
        "websocket_frames": len(frames),
    }
    note = (
        f"Panel '{stage.get_attribute('data-panel')}' of {address}, from the event's time stamp to the end of drawing."
    )
    return Report("viewer", machine() | {"browser": f"Chromium {browser.version}"}, (row,), {}, (note,))


def count_frames(connection: Any, frames: list[int]) -> None:
    """Add to the list with every frame that a websocket sends or receives."""
    for way in ("framesent", "framereceived"):
        connection.on(way, lambda _: frames.append(1))


def browser_path() -> str | None:
    """The browser that CHROMIUM names, else one on the PATH; None leaves it to Playwright's own."""
    return os.environ.get("CHROMIUM") or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def running_app(url: str | None) -> Iterator[str]:
    """The address of a running app: the given one, or one that is started for the time being.

    Raises:
        RuntimeError: it does not start.
    """
    if url is not None:
        yield url
        return
    port, script = free_port(), app_script()
    command = app_command(script, port, "--server.headless", "true")
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=script.parent, env=app_environment(), stdout=quiet, stderr=quiet)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the app answers.

    Raises:
        RuntimeError: it ended, or takes too long.
    """
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError("the app did not start; run `python -m segviz app` to see why")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
