"""The app as a visitor meets it: the real server as a process of its own, on a free port."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from segviz.benchmarks.viewer import find_free_port
from segviz.paths import PACKAGE
from segviz.server.launch import app_command, app_environment, app_script

START_WITHIN = 240  # seconds; importing torch takes long on a busy machine


@dataclass(frozen=True)
class LiveApp:
    """A running app, and what its very first visitor saw, who opened a page by its own address."""

    address: str
    log: Path
    first_heading: str
    first_sidebar: str

    def check_log(self) -> None:
        """Fail if the server has logged a traceback."""
        assert "Traceback" not in self.log.read_text(errors="replace")


@contextmanager
def app_server(log: Path, script: Path | None = None, **environment: str) -> Iterator[str]:
    """Start the app, or another `script`, and yield its address. It writes to `log`.

    Raises:
        RuntimeError: it ended, or did not answer in time; the message holds the end of the log.
    """
    port = find_free_port()
    command = app_command(script or app_script(), port, "--server.headless", "true")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=app_script().parent,  # its settings hold for every script
            env={**app_environment(), "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def python_path() -> str:
    """PYTHONPATH with the package, which a script elsewhere needs too."""
    return os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))


def wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server says that it is healthy."""
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(f"{address}/_stcore/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the app did not start:\n{log.read_text(errors='replace')[-2000:]}")
