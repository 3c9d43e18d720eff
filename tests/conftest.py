"""What all tests share: one seed, one thread, one browser and one server; and quiet for tests that measure."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import PATIENCE, SharedBrowser, visiting
from playwright.sync_api import Browser, expect
from streamlit.components.v2 import manifest_scanner
from typecheck import check_shapes

from segviz.runtime.garbage_collection import freeze_objects, pause_collector
from segviz.runtime.lazy_dynamo import defer_compiler

try:
    import fcntl
except ImportError:  # not on Windows, where tests that measure may run beside others
    fcntl = None  # type: ignore[assignment]

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start: teams of threads would spin for cores
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the processes that tests start find segviz's modules compiled
with pause_collector(), defer_compiler():
    for library in (
        "timm",
        "torchvision",
        "captum.attr",
        "plotly.graph_objects",
        "matplotlib.figure",
        "streamlit.testing.v1",
    ):
        importlib.import_module(library)
freeze_objects()
check_shapes()
from app_server import LiveApp, app_server  # noqa: E402  # it imports modules of segviz, which are checked from here on

# In every AppTest, Streamlit lists all installed packages, which takes a quarter of a second.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)

# These files share one server of the app and one browser, so one worker runs them all. They begin first.
ONE_SERVER = ("test_accessibility", "test_app_in_browser", "test_attribution_page", "test_results_page")
# Any other file has a worker to itself. The longest begin early, or one worker would end long after the other.
LONG = (
    *ONE_SERVER,
    "test_ray_pictures",
    "test_ray_nodes",
    "test_ray_backend",
    "test_processes",
    "test_load",
    "test_cues",
    "test_bundled",
    "test_recovery",
    "test_pages",
    "test_server",
    "test_cli",
    "test_engine",
    "test_attribution",
    "test_viewer_in_browser",
    "test_training",
    "test_load_faults",
    "test_compose",
    "test_ray_deploy",
    "test_fuzz",
    "test_attribution_engine",
    "test_examples",
    "test_ray_app",
)
BROWSER = SharedBrowser()
BROWSER_FILES: set[Path] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first; the others keep their order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    BROWSER_FILES.update(item.path for item in items if {"browser", "live_app"} & set(item.fixturenames))  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give each worker whole files, and all files that share a server to the same one."""
    from xdist.scheduler.loadfile import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "one server" if Path(file).stem in ONE_SERVER else file

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Close the browser before a file that does not use it."""
    result = yield
    if nextitem is None or nextitem.path not in BROWSER_FILES:
        BROWSER.close()
    return result


@pytest.fixture(scope="module")
def browser() -> Browser:
    """The worker's browser."""
    return BROWSER.open()


@pytest.fixture(scope="session")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """The worker's server of the app as it is bundled, with what its very first visitor saw."""
    log = tmp_path_factory.mktemp("server") / "log"
    with app_server(log) as address:
        with visiting(BROWSER.open()) as page:
            page.goto(f"{address}/psa", timeout=PATIENCE)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
            seen = page.get_by_role("heading", level=1).inner_text(), page.get_by_test_id("stSidebar").inner_text()
        yield LiveApp(address, log, *seen)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def small_pictures() -> Iterator[None]:
    """Models see pictures at 96 x 128 pixels instead of 360 x 480, for what does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segviz.image.WORKING_PIXELS", 96 * 128)
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tests marked `alone` run while no other worker runs one."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Wait for a turn among the workers of this run; `door` stops others from entering before one that waits alone."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None or fcntl is None:
        yield
        return
    room, door = (Path(tempfile.gettempdir()) / f"segviz-tests-{run}-{name}" for name in ("room", "door"))
    with room.open("w") as inside:
        with door.open("w") as entering:
            fcntl.flock(entering, fcntl.LOCK_EX)
            fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def pytest_sessionfinish() -> None:
    """Remove the files of `turn`."""
    if run := os.environ.get("PYTEST_XDIST_TESTRUNUID"):
        for path in Path(tempfile.gettempdir()).glob(f"segviz-tests-{run}-*"):
            path.unlink(missing_ok=True)
