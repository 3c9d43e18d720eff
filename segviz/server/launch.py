"""How the app is started as a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from segviz.paths import PACKAGE


def app_script() -> Path:
    """The script that Streamlit runs.

    Raises:
        FileNotFoundError: neither the installed package nor a clone has it.
    """
    inside, beside = PACKAGE / "_app" / "app.py", PACKAGE.parent / "app.py"
    for path in (inside, beside):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"the app's script is neither {inside} nor {beside}; install segviz again or use a whole clone"
    )


SERVER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # the engine's workers set their own; a thread team per page would spin while it waits
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_ARENA_MAX": "1",  # glibc: one heap for all threads
    "MALLOC_MMAP_THRESHOLD_": str(3 * 1024**2),  # what a forward frees returns to the system,
    "THP_MEM_ALLOC_ENABLE": "1",  # and torch asks for huge pages, without which that is slow
}  # the last three save 250 MiB with many visitors


def app_command(script: Path, port: int, *options: str) -> list[str]:
    """The command that serves the app; run it in the script's folder, which has .streamlit/config.toml."""
    return [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), *options]


def app_environment() -> dict[str, str]:
    """This process's environment for the app, with absolute paths, because the app runs in another folder."""
    environment = {**SERVER_ENVIRONMENT, **os.environ}
    if own := environment.get("SEGVIZ_CHECKPOINTS"):
        environment["SEGVIZ_CHECKPOINTS"] = str(Path(own).resolve())
    return environment
