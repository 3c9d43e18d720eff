"""Where the files beside the package lie: inside it once installed, beside it in a clone."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
INSTALLED = PACKAGE / "checkpoints"  # a wheel carries them inside the package, a clone beside it
BUNDLED = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "checkpoints"
