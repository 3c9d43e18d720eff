"""The pages on sources of networks: their Python runs as printed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image

from segviz.data.scenes import draw_scene

SOURCES = Path(__file__).parents[1] / "docs" / "sources"
NEEDED = {"transformers": "transformers", "segmentation-models-pytorch": "segmentation_models_pytorch"}


def test_each_source_has_a_page() -> None:
    overview = (SOURCES.parent / "any-network.md").read_text()
    pages = sorted(page.name for page in SOURCES.glob("*.md"))
    assert len(pages) == 4
    assert all(f"(sources/{page})" in overview for page in pages)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*weights are random", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("page", sorted(page.stem for page in SOURCES.glob("*.md")))
def test_the_page_runs_as_printed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in NEEDED and find_spec(NEEDED[page]) is None:
        pytest.skip(f"{NEEDED[page]} is not installed")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_scene(seed=1, width=96, height=64).image).save("street.png")
    if page == "segmentation-models-pytorch":
        import segmentation_models_pytorch as smp

        network = smp.create_model("segformer", "mit_b0", encoder_weights=None, classes=19)
        torch.save(network.state_dict(), "w.pth")
    snippets = re.findall(r"```python\n(.*?)```", (SOURCES / f"{page}.md").read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, page, "exec"), {})
