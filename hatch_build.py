"""What a wheel holds beside the package: the app's pages and the bundled checkpoints, inside `segviz`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

APP = ("app.py", "pages", ".streamlit")
CHECKPOINTS = ("*.safetensors", "*.csv", "MODELS.md", "seeds", "cues")


class AppAndCheckpoints(BuildHookInterface):
    """Adds them to a wheel. An editable installation finds them beside the package, as a clone does."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files, and where they go."""
        if version == "editable":
            return
        root = Path(self.root)
        build_data["force_include"] |= {str(root / name): f"segviz/_app/{name}" for name in APP}
        build_data["force_include"] |= {
            str(path): f"segviz/checkpoints/{path.name}"
            for pattern in CHECKPOINTS
            for path in (root / "checkpoints").glob(pattern)
        }
