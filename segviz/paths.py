"""Where the files beside the package lie: inside it once installed, beside it in a clone."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def app_script() -> Path:
    """The script that Streamlit runs.

    Raises:
        FileNotFoundError: neither an installed package nor a clone holds it.
    """
    inside, beside = PACKAGE / "_app" / "app.py", PACKAGE.parent / "app.py"
    for path in (inside, beside):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"the app's script is neither {inside} nor {beside}; install segviz again or use a whole clone"
    )
