"""How long the viewer takes from a pointer move to the drawn maps, and what it sends to the server meanwhile.

A headless Chromium moves a real pointer over the app's first page, and over a page with eleven linked panels of random
factors (`segviz/ui/benchmark_page.py`), on the grids of a 360 x 480 and of a 1024 x 2048 picture; then over the mean of
twelve heads of a network, and over a panel for each head. The clock starts at the event's own time stamp and stops when
the frame is drawn; "shown" is when the browser has painted it. "script" is the processor time of the page's JavaScript
per move, which other processes hardly change.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

from segviz.benchmarks.measure import Report, describe_machine
from segviz.paths import PACKAGE
from segviz.server.launch import app_command, app_environment, app_script

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MOVES, WARM_UP_MOVES, PAUSE = 60, 10, 25  # moves per round, moves before the first round, milliseconds between moves
PATIENCE = 240  # seconds for a server to start, and again to draw its first map
READY = '[data-panel][data-ready="1"]'
BROWSER_WINDOW = {"width": 1600, "height": 1400}  # large enough for eleven panels
GRIDS = ((45, 60), (128, 256))  # of 360 x 480 and 1024 x 2048 pixels at stride 8
SYNTHETIC = PACKAGE / "ui" / "benchmark_page.py"
SYNTHETIC_PANELS = 11
HEADS = 12
HEAD_GRIDS = ((32, 32), (64, 128))  # 1,024 and 8,192 cells

WATCH = """(stage) => {
  const taken = [], channel = new MessageChannel();
  let moved = null, painting = null;
  channel.port1.onmessage = () => {
    taken.push([painting.drawn - painting.moved, performance.now() - painting.moved]);
    painting = null;
  };
  stage.addEventListener("pointermove", (event) => { moved ??= event.timeStamp; }, { capture: true });
  new MutationObserver(() => {
    if (moved === null || painting !== null) return;
    painting = { moved, drawn: performance.now() };
    moved = null;
    channel.port2.postMessage(0);  // arrives when the frame is painted
  }).observe(stage, { attributes: true, attributeFilter: ["data-cell"] });
  stage.takeTimes = () => taken.splice(0);
}"""


@dataclass
class Traffic:
    """Traffic of a page's websockets: frames both ways, and the bytes that the browser sent."""

    frames: int = 0
    bytes_sent: int = 0

    def watch(self, page: Any) -> None:
        """Count the traffic of a page's new connections from now on."""
        page.on("websocket", self._watch_connection)

    def clear(self) -> None:
        """Reset the counters."""
        self.frames = self.bytes_sent = 0

    def _watch_connection(self, connection: Any) -> None:
        connection.on("framesent", self._count_sent)
        connection.on("framereceived", self._count_received)

    def _count_sent(self, payload: str | bytes) -> None:
        self.frames += 1
        self.bytes_sent += len(payload)

    def _count_received(self, _: str | bytes) -> None:
        self.frames += 1


class ScriptTime:
    """The processor time that a page's JavaScript takes, by Chromium's own count."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._start = self._seconds()

    def read(self) -> float:
        """Milliseconds since the beginning."""
        return (self._seconds() - self._start) * 1000

    def _seconds(self) -> float:
        metrics = {one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["ScriptDuration"])


def bench_viewer(url: str | None = None, rounds: int = 5) -> Report:
    """Measure hovering over pages with the viewer.

    Args:
        url: address of a running app, on the page and with the model to measure; only that page is measured.
        rounds: number of rounds of MOVES moves each.

    Raises:
        RuntimeError: Playwright or a browser is missing, or a page shows no map.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError(
            "the viewer is measured with Playwright, which is not installed; run `pip install playwright`"
        ) from None
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=find_browser(), args=["--no-sandbox", "--disable-quic"]
            )
        except Error:
            raise RuntimeError(
                "Chromium does not start; set CHROMIUM to its path, or run `playwright install chromium`"
            ) from None
        with closing(browser):
            try:
                rows, notes = measure_pages(browser, url, rounds)
            except Error as error:
                raise RuntimeError(f"the viewer could not be measured: {str(error).splitlines()[0]}") from None
            described = describe_machine() | {"browser": f"Chromium {browser.version}"}
    note = "From the event's time stamp to the end of drawing (shown: to the painted frame), all panels visible."
    return Report("viewer", described, tuple(rows), {}, (note, *notes))


def measure_pages(browser: Any, url: str | None, rounds: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure the page of `url`, or the app's first page and each of GRIDS; return rows, and notes on skipped pages."""
    if url is not None:
        return [measure_page(browser, url, url, rounds)], []
    rows, notes = [], []
    try:
        with serve_script(app_script()) as address:
            rows.append(measure_page(browser, address, "the app's first page", rounds))
    except RuntimeError as error:
        notes.append(f"The app's own page is skipped: {error}.")
    with serve_script(SYNTHETIC) as address:
        for height, width in GRIDS:
            page = f"{address}/?rows={height}&columns={width}"
            rows.append(measure_page(browser, page, f"all kinds, {height} x {width} cells", rounds, SYNTHETIC_PANELS))
        rows += [measure_heads(browser, address, grid, strip, rounds) for grid in HEAD_GRIDS for strip in (False, True)]
    return rows, notes


def measure_heads(browser: Any, address: str, grid: tuple[int, int], strip: bool, rounds: int) -> dict[str, Any]:
    """Measure a network's heads on the page that `address` serves: their mean, or a strip with a panel for each."""
    height, width = grid
    page = f"{address}/?rows={height}&columns={width}&heads={HEADS}{'&strip=1' if strip else ''}"
    name = f"{'each' if strip else 'mean'} of {HEADS} heads, {height} x {width} cells"
    return measure_page(browser, page, name, rounds, HEADS if strip else 2)


def measure_page(browser: Any, address: str, name: str, rounds: int, panels: int = 1) -> dict[str, Any]:
    """Measure one page in a Playwright browser, once it shows that many panels.

    Raises:
        RuntimeError: the page shows no map, or no map follows the pointer.
    """
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    traffic = Traffic()
    with closing(browser.new_page(viewport=BROWSER_WINDOW)) as page:
        traffic.watch(page)
        page.goto(address, timeout=PATIENCE * 1000)
        stages = page.locator(READY)
        try:
            stages.nth(panels - 1).wait_for(timeout=PATIENCE * 1000)
        except PlaywrightTimeout:
            cure = "see that `python -m segviz models` lists a checkpoint, and that the page shows a picture"
            raise RuntimeError(f"{address} showed no map within {PATIENCE} seconds; {cure}") from None
        page.wait_for_timeout(2000)  # the last parts of the page, and their messages to the server
        stage = stages.first if panels > 1 else stages.last
        stage.scroll_into_view_if_needed()
        stage.evaluate(WATCH)
        script_time = ScriptTime(page)
        hover(page, stage, rounds, traffic)
        script_ms = script_time.read() / (WARM_UP_MOVES + rounds * MOVES)
        taken = np.array(stage.evaluate("(stage) => stage.takeTimes()"), np.float64).reshape(-1, 2)
        count = stages.count()
    if not len(taken):
        raise RuntimeError("no map followed the pointer; choose a model with a spatial map")
    drawn, shown = taken.T
    return {
        "page": name,
        "panels": count,
        "moves": rounds * MOVES,
        "drawn": len(taken),
        "median_ms": float(np.median(drawn)),
        "p95_ms": float(np.percentile(drawn, 95)),
        "max_ms": float(drawn.max()),
        "shown_p95_ms": float(np.percentile(shown, 95)),
        "script_ms": script_ms,
        "bytes_sent": traffic.bytes_sent,
        "websocket_frames": traffic.frames,
    }


def hover(page: Any, stage: Any, rounds: int, traffic: Traffic) -> None:
    """Move the pointer to random places of a stage; the first WARM_UP moves are not counted.

    Raises:
        RuntimeError: the viewer is not visible.
    """
    box = stage.bounding_box()
    if box is None:
        raise RuntimeError("the viewer is not visible; open the page by hand to see why")
    places = np.random.default_rng(0).uniform(0.05, 0.95, (WARM_UP_MOVES + rounds * MOVES, 2))
    for number, (down, along) in enumerate(places):
        if number == WARM_UP_MOVES:
            stage.evaluate("(stage) => stage.takeTimes()")
            traffic.clear()
        page.mouse.move(box["x"] + along * box["width"], box["y"] + down * box["height"])
        page.wait_for_timeout(PAUSE)


def find_browser() -> str | None:
    """Find the browser that CHROMIUM names, or one on the PATH; None means Playwright's own."""
    return os.environ.get("CHROMIUM") or next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def serve_script(script: Path) -> Iterator[str]:
    """Serve a Streamlit script while the block runs, and yield its address.

    Raises:
        RuntimeError: the server does not start.
    """
    port = find_free_port()
    command = app_command(script, port, "--server.headless", "true")
    quiet = subprocess.DEVNULL
    folder = app_script().parent  # its .streamlit folder holds the settings
    server = subprocess.Popen(command, cwd=folder, env=app_environment(), stdout=quiet, stderr=quiet)
    try:
        wait_for_server(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def wait_for_server(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers.

    Raises:
        RuntimeError: it ended, or took longer than PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError("the app did not start; run `python -m segviz app` to see why")


def find_free_port() -> int:
    """Find a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
