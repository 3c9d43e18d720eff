"""The example notebook is stored with what it shows, and shows the same kinds of things when it is run again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "attention.ipynb"


def load_script() -> ModuleType:
    """`examples/run_notebook.py`, which is no package."""
    spec = importlib.util.spec_from_file_location("run_notebook", ROOT / "examples" / "run_notebook.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()


@pytest.fixture(scope="module")
def stored() -> NotebookNode:
    return nbformat.read(NOTEBOOK, 4)


def test_it_is_stored_whole_and_small(stored: NotebookNode) -> None:
    nbformat.validate(stored)
    assert NOTEBOOK.stat().st_size <= SCRIPT.MOST_BYTES
    counts = [cell.execution_count for cell in SCRIPT.code_cells(stored)]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebook`"


def test_every_figure_is_a_picture_that_a_code_host_shows(stored: NotebookNode) -> None:
    shown = [kind for cell in SCRIPT.describe_output(stored) for output in cell for kind in output]
    assert shown.count("picture") == 3 + 7 + 1 + 2
    assert "application/vnd.plotly.v1+json" not in shown and "error" not in shown


def test_it_names_no_machine(stored: NotebookNode) -> None:
    texts = [output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
             for cell in SCRIPT.code_cells(stored) for output in cell.outputs]  # fmt: skip
    assert not [text for text in texts if "/home/" in text or "/tmp/" in text or str(ROOT) in text]
    assert all(cell.metadata == {} for cell in SCRIPT.code_cells(stored))


def test_numbers_and_files_come_out(stored: NotebookNode) -> None:
    cells = SCRIPT.code_cells(stored)
    printed = "".join(one["text"] for cell in cells for one in cell.outputs if one.get("name") == "stdout")
    assert len(printed.splitlines()) == 4 and "nan" not in printed
    agreement, files = (eval(cell.outputs[0]["data"]["text/plain"]) for cell in cells[-2:])
    assert -1 <= agreement <= 1
    assert list(files) == ["png", "svg", "pdf", "npz", "csv"]


@pytest.mark.slow  # starts a kernel
def test_running_it_shows_pictures_and_the_kinds_of_things_that_are_stored() -> None:
    before = SCRIPT.describe_output(nbformat.read(NOTEBOOK, 4))
    again = SCRIPT.describe_output(SCRIPT.execute_notebook())
    assert sum("picture" in output for cell in again for output in cell) == 3 + 7 + 1 + 2
    assert again == before, "the stored outputs are stale: run `make notebook`"
