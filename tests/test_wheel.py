"""A wheel holds the app and every bundled checkpoint; an editable installation leaves them where they are."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from hatch_build import AppAndCheckpoints
from segviz.models.registry import MODELS

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_holds_the_app_and_every_checkpoint(tmp_path: Path) -> None:
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(path).namelist())
    pages = {f"segviz/_app/pages/{page.name}" for page in (ROOT / "pages").glob("*.py")}
    weights = {f"segviz/checkpoints/{name}.{ending}" for name in MODELS for ending in ("safetensors", "csv")}
    beside = {"segviz/_app/app.py", "segviz/_app/.streamlit/config.toml", "segviz/checkpoints/MODELS.md"}
    assert pages | weights | beside <= names
    assert {"segviz/py.typed", "segviz/viewer/js/viewer.js", "segviz/__main__.py"} <= names
    seeds = {f"segviz/checkpoints/seeds/{seed.name}" for seed in (ROOT / "checkpoints/seeds").iterdir()}
    assert {name for name in names if "/seeds/" in name} == seeds


@pytest.mark.parametrize(("version", "adds"), [("standard", True), ("editable", False)])
def test_an_editable_installation_copies_nothing(version: str, adds: bool) -> None:
    build_data: dict[str, Any] = {"force_include": {}}
    hook = AppAndCheckpoints(str(ROOT), {}, None, None, "", "wheel")  # type: ignore[arg-type]
    hook.initialize(version, build_data)
    assert bool(build_data["force_include"]) == adds
    assert all(Path(source).exists() for source in build_data["force_include"])
