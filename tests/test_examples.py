"""The example notebook runs from start to end in a kernel, and is stored without what it printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow  # starts a kernel
ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "attention.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each cell of code showed."""
    folder = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(folder))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
        notebook = nbformat.read(NOTEBOOK, 4)
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_stored_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_every_figure_shows_itself(outputs: list[list[Any]]) -> None:
    shown = [set(one["data"]) for cell in outputs for one in cell if "data" in one]
    assert sum("application/vnd.plotly.v1+json" in kinds for kinds in shown) == 3
    assert sum("image/png" in kinds for kinds in shown) == 1 + 7 + 2


def test_numbers_and_files_come_out(outputs: list[list[Any]]) -> None:
    printed = "".join(one["text"] for cell in outputs for one in cell if one.get("name") == "stdout")
    assert len(printed.splitlines()) == 4 and "nan" not in printed
    agreement, files = (eval(cell[0]["data"]["text/plain"]) for cell in outputs[-2:])
    assert -1 <= agreement <= 1
    assert list(files) == ["png", "svg", "pdf", "npz", "csv"]
