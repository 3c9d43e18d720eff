"""What the repository says of the four papers: equation numbers, signs, and the names of backbones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from segviz.models.blocks import ChannelNonLocal
from segviz.models.registry import MODELS, build

pytestmark = pytest.mark.usefixtures("small_pictures")

ROOT = Path(__file__).resolve().parents[1]
LAST_EQUATION = {"FLANet": 2, "AttaNet": 0, "SSANet": 7, "PSANet": 9}  # AttaNet numbers none
CITED = re.compile(r"(FLANet|AttaNet|SSANet|PSANet)[^.;|\n]{0,40}? eq\. (\d+)(?:-(\d+))?")


def texts() -> list[Path]:
    found = [path for folder in ("segviz", "pages", "docs") for path in (ROOT / folder).rglob("*")]
    return [ROOT / "README.md", *(path for path in found if path.suffix in (".py", ".md"))]


def test_no_text_cites_an_equation_that_its_paper_does_not_number() -> None:
    cited = [(path, *one) for path in texts() for one in CITED.findall(path.read_text("utf-8"))]
    assert {paper for _, paper, *_ in cited} == {"FLANet", "SSANet", "PSANet"}
    wrong = [one for one in cited if int(one[3] or one[2]) > LAST_EQUATION[one[1]]]
    assert not wrong, wrong


@pytest.mark.parametrize("name", ["channel_nl", "dual_nl", "cs_nl"])
def test_the_help_of_channel_attention_has_the_sign_that_the_models_compute(name: str) -> None:
    assert r"\mathrm{softmax}(-X X^\top)" in MODELS[name].help
    x = torch.randn(1, 6, 3, 4)
    cells = x.flatten(2)
    (block,) = [one for one in build(name, 2).modules() if isinstance(one, ChannelNonLocal)]
    torch.testing.assert_close(block(x).maps[0][0].matrix, (-cells @ cells.mT).softmax(-1)[0])


def test_the_help_of_fla_and_psa_says_where_the_models_differ_from_their_papers() -> None:
    assert "One 3 x 3 convolution leads to it here; the paper has two." in MODELS["fla"].help
    assert "in place of 1/N" in MODELS["psa"].help
    assert "softmax" in (ROOT / "pages" / "psa.py").read_text("utf-8")
