"""Checks shapes while the tests run."""

from __future__ import annotations

from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as in PEP 484


def check_shapes() -> None:
    """Check types and shapes in every module of segviz that uses jaxtyping; mypy checks the others."""
    install_import_hook(modules_with_shapes(), "typecheck.checked")


def modules_with_shapes() -> list[str]:
    """The modules of segviz that use jaxtyping."""
    root = Path(__file__).parents[1]
    annotated = [path for path in (root / "segviz").rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in annotated]
