"""Run `attention.ipynb` and store what it shows, with small pictures: `make notebook`."""

from __future__ import annotations

import base64
import io
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "attention.ipynb"
MOST_BYTES = 600_000
WIDTH, QUALITY = 640, 80  # of the stored pictures, in pixels and as JPEG


def main() -> None:
    """Run the notebook in a folder of its own, and write it back with its outputs."""
    notebook = execute_notebook()
    for cell in code_cells(notebook):
        cell.metadata = NotebookNode()
        cell.outputs = [shrink_output(output) for output in kept_outputs(cell)]
    text = nbformat.writes(notebook)
    if len(text) > MOST_BYTES:
        raise SystemExit(f"{NOTEBOOK.name} would have {len(text):,} bytes; at most {MOST_BYTES:,}: show fewer pictures")
    NOTEBOOK.write_text(text + "\n", encoding="utf-8")
    print(f"{NOTEBOOK.relative_to(ROOT)}: {len(text):,} bytes")


def execute_notebook() -> NotebookNode:
    """The notebook, run from its first cell to its last with segviz as it is in this folder."""
    notebook = nbformat.read(NOTEBOOK, 4)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder}
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}})
        client.execute(env=environment)
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kept_outputs(cell: NotebookNode) -> list[NotebookNode]:
    """What a cell shows, without warnings and progress; printed text, which comes in parts by chance, is one output."""
    kept: list[NotebookNode] = []
    for output in cell.outputs:
        if output.get("name") == "stderr":
            continue
        if kept and output.output_type == kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(NotebookNode(output))
    return kept


def describe_output(notebook: NotebookNode) -> list[list[tuple[str, ...]]]:
    """What each cell shows, by kind and without values: what must not change when the notebook is run again."""
    return [
        [
            (
                one.output_type,
                *sorted(name_kind(kind) for kind in one.get("data", {})),
                *(["text"] if "text" in one else []),
            )
            for one in kept_outputs(cell)
        ]
        for cell in code_cells(notebook)
    ]


def name_kind(kind: str) -> str:
    """A kind of output; a picture is a picture in any format."""
    return "picture" if kind.startswith("image/") else kind


def shrink_output(output: NotebookNode) -> NotebookNode:
    """The output with its picture as JPEG, no wider than WIDTH, and nothing but the text beside it."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = Image.open(io.BytesIO(base64.b64decode(data.pop("image/png")))).convert("RGB")
        picture.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        data["image/jpeg"] = base64.b64encode(buffer.getvalue()).decode() + "\n"
        output.metadata = NotebookNode()
    return output


if __name__ == "__main__":
    main()
