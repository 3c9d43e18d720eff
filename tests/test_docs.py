"""What the documents promise: snippets run, commands exist, versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import segviz
from segviz.data.scenes import draw_scene
from segviz.results.models_page import scores_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_readme_s_python_runs_as_printed() -> None:
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile("\n".join(snippets), "README.md", "exec"), names)
    similarity = names["similarity"]
    assert float(similarity.attends_to(10, 20)[10, 20]) == pytest.approx(1, abs=1e-3)  # type: ignore[attr-defined]
    collect = names["collect"]
    assert float(collect.attends_to(10, 20).sum()) == pytest.approx(1, abs=1e-5)  # type: ignore[attr-defined]
    assert isinstance(names["image"], np.ndarray)


def test_the_readme_names_what_maps_have() -> None:
    (table,) = re.findall(r"\| Map \| Models \|.*?\n\n", README, re.DOTALL)
    image = draw_scene(seed=3).image
    for named, models, _, members in re.findall(r"^\| (`.+?) \| (.+?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE):
        maps = segviz.load(models.split(", ")[0])(image).maps
        names = re.findall(r"`(\w+)", named)
        for member in re.findall(r"`(\w+)", members):
            assert any(hasattr(maps[name], member) for name in names), (named, member)


def test_the_python_of_the_page_on_figures_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "figures.md").read_text(), re.DOTALL)
    exec(compile(snippet, "figures.md", "exec"), {})
    assert len(list((tmp_path / "out").iterdir())) == 2 * 3


def test_the_page_on_figures_names_them_all() -> None:
    from segviz.figures.papers import PAPER_FIGURES

    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([\w, ]+) \|$", (ROOT / "docs" / "figures.md").read_text(), re.MULTILINE)
    models = {name: ", ".join(one.models) or "all bundled" for name, one in PAPER_FIGURES.items()}
    models["atta-1"] = "all bundled"
    assert dict(rows) == models


def test_contributing_names_files_that_exist_and_is_short() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:segviz|pages|tests|docs|checkpoints)/[\w./]+)`", text)
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []
    assert len(text.splitlines()) < 60


def test_the_readme_names_the_pages_of_the_app() -> None:
    from segviz.ui.page_table import PAGES

    (table,) = re.findall(r"\| Page \|.*?\n\n", README, re.DOTALL)
    assert re.findall(r"^\| (.+?) \|", table, re.MULTILINE)[2:] == [row.title for row in PAGES]


def test_the_readme_s_table_of_scores_is_that_of_the_records() -> None:
    (shown,) = re.findall(r"<!-- scores.*?-->\n(.*?)<!-- end of scores -->", README, re.DOTALL)
    assert shown.strip() == scores_table().strip()


def test_the_readme_shows_the_help_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from segviz.cli.parser import build_parser

    monkeypatch.setenv("COLUMNS", "100")
    (shown,) = re.findall(r"```\n(usage: python -m segviz.*?)```", README, re.DOTALL)
    assert shown == build_parser().format_help()


def test_the_readme_s_commands_are_understood() -> None:
    from segviz.cli.parser import build_parser

    pages = README + (ROOT / "docs" / "figures.md").read_text()
    commands = re.findall(r"^python -m segviz (\w+.*?)(?: *#.*)?$", pages, re.MULTILINE)
    assert len(commands) >= 8
    for typed in commands:
        concrete = typed.partition(" > ")[0].replace("Y,X", "10,20").replace("IMAGE...", "a.png b.png")
        for choice in re.findall(r"[\w-]+(?:\|[\w-]+)+", concrete):
            concrete = concrete.replace(choice, choice.split("|")[0])
        build_parser().parse_args(re.sub(r"FILE\.\(.*?\)", "out.png", concrete).split())


def test_package_and_requirements_name_the_same_libraries() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert project["dependencies"] == wanted


def test_every_required_library_has_a_tested_version() -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    for file in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / file).read_text().splitlines():
            assert re.split(r"[>=\[]", line)[0].lower().replace("-", "_") in {name.replace("-", "_") for name in pinned}


def test_pictures_of_the_readme_are_there() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file(), path
