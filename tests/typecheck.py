"""How the tests check shapes as they run."""

from __future__ import annotations

from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as in PEP 484


def check_shapes() -> None:
    """Hold every module of segviz that states shapes to them; the types of all others are mypy's."""
    root = Path(__file__).parents[1]
    stating = [path for path in (root / "segviz").rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in stating]
    install_import_hook(names, "typecheck.checked")
