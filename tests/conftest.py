"""One seed and one thread for every test, so that a failure repeats; and quiet for those that measure."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from streamlit.components.v2 import manifest_scanner
from typecheck import check_shapes

from segviz.runtime.garbage_collection import freeze_objects, pause_collector
from segviz.runtime.lazy_dynamo import defer_compiler

try:
    import fcntl
except ImportError:  # not on Windows: there a test that measures may have company
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
# Every AppTest has Streamlit read what all installed packages are, a quarter of a second each time.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)

# A file is run by one worker: those that take long begin first, or a worker would end long after the other.
LONG = (
    "test_app_in_browser",
    "test_accessibility",
    "test_load",
    "test_bundled",
    "test_server",
    "test_comes_back",
    "test_engine",
    "test_attribution_page",
    "test_pages",
    "test_load_faults",
    "test_fuzz",
    "test_results_page",
    "test_attribution_engine",
    "test_examples",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first; the others keep their order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same random numbers."""
    torch.manual_seed(0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tests marked `alone` run while no other worker runs one."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Wait for one's turn among the workers of this run; the door keeps others from slipping in before one alone."""
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
    """Remove what `turn` left behind."""
    if run := os.environ.get("PYTEST_XDIST_TESTRUNUID"):
        for path in Path(tempfile.gettempdir()).glob(f"segviz-tests-{run}-*"):
            path.unlink(missing_ok=True)
