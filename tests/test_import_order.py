"""import-linter finds a planted upward import and a planted circle; the server starts without heavy libraries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segviz.paths import PACKAGE

ROOT = Path(__file__).parents[1]
LAYERS, CIRCLES = "A lower layer never imports a higher one", "No two modules or packages import each other in a circle"
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the package's Python files and the contracts."""
    shutil.copytree(PACKAGE, tmp_path / "segviz", ignore=shutil.ignore_patterns("__pycache__", "js", "checkpoints"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check_contracts(folder: Path) -> tuple[int, str]:
    """The exit status and the output of `lint-imports`, which `make check` runs."""
    command = [sys.executable, "-c", LINT, "--no-logo", "--no-cache"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return ran.returncode, ran.stdout + ran.stderr


def test_a_copy_keeps_the_contracts(copy: Path) -> None:
    status, text = check_contracts(copy)
    assert (status, f"{LAYERS} KEPT" in text, f"{CIRCLES} KEPT" in text) == (0, True, True), text


@pytest.mark.parametrize(
    ("path", "code", "broken", "named"),
    [
        ("data/planted.py", "import segviz.engine\n", LAYERS, "segviz.data is not allowed to import segviz.engine"),
        (
            "attention/planted.py",
            "def late() -> None:\n    from segviz import prediction\n",
            LAYERS,
            "segviz.attention is not allowed to import segviz.prediction",
        ),
        ("planted/__init__.py", "", LAYERS, "segviz.planted"),
        ("data/planted.py", "from segviz.data import planted_too\n", CIRCLES, "No cycles are allowed in segviz.data"),
    ],
    ids=["at the top", "inside a function", "a package in no layer", "a circle"],
)
def test_a_planted_fault_breaks_a_contract(copy: Path, path: str, code: str, broken: str, named: str) -> None:
    file = copy / "segviz" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(code)
    (copy / "segviz/data/planted_too.py").write_text("import segviz.data.planted\n" if broken == CIRCLES else "")
    status, text = check_contracts(copy)
    assert status == 1
    assert f"{broken} BROKEN" in text and named in text, text


def test_the_server_listens_before_it_imports_what_is_heavy() -> None:
    heavy = ("torch", "numpy", "matplotlib")
    code = f"import sys, segviz.ui.server; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.stdout.strip() == "[]", ran.stderr
