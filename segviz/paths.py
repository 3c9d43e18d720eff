"""Where the package and the bundled checkpoints are."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
INSTALLED = PACKAGE / "checkpoints"  # a wheel has them inside the package, a clone beside it
BUNDLED = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "checkpoints"
