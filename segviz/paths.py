"""Where the package, the bundled checkpoints and the user's cache are."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
INSTALLED = PACKAGE / "checkpoints"  # a wheel has them inside the package, a clone beside it
BUNDLED = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "checkpoints"


def cache_folder() -> Path:
    """The folder for data that segviz can compute again: below `XDG_CACHE_HOME`, or else `~/.cache`.

    Raises:
        RuntimeError: neither the variable nor a home folder is known.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segviz"
