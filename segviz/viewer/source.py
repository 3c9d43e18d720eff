"""The viewer's HTML, CSS and JavaScript, as the browser gets them."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

VIEWER_FOLDER = Path(__file__).parent


def order_scripts() -> tuple[str, ...]:
    """The names of the scripts, each after those that it imports."""
    imports = {
        path.name: re.findall(r'^import .* from "\./(.+)";$', path.read_text("utf-8"), re.MULTILINE)
        for path in sorted((VIEWER_FOLDER / "js").glob("*.js"))
    }
    return tuple(TopologicalSorter(imports).static_order())


SCRIPTS = order_scripts()


def read_markup() -> str:
    """The viewer's HTML."""
    return (VIEWER_FOLDER / "viewer.html").read_text(encoding="utf-8")


def read_style() -> str:
    """The viewer's CSS."""
    return (VIEWER_FOLDER / "viewer.css").read_text(encoding="utf-8")


def join_scripts() -> str:
    """The scripts joined into one module, without imports; its only export is the component."""
    parts = ((VIEWER_FOLDER / "js" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    source = re.sub(r"^import .*\n", "", "\n".join(parts), flags=re.MULTILINE)
    return re.sub(r"^export (?!default)", "", source, flags=re.MULTILINE)


def join_page_script() -> str:
    """The scripts of a page that stands alone: the viewer's, and what starts it, in a block of its own names."""
    return f"{join_scripts()}\n{{\n{(VIEWER_FOLDER / 'page.js').read_text(encoding='utf-8')}}}\n"


def read_page_style() -> str:
    """The style of a page that stands alone."""
    return f"{(VIEWER_FOLDER / 'page.css').read_text(encoding='utf-8')}\n{read_style()}"
