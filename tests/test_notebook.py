"""segviz as a library, in a notebook: it leaves the interpreter alone, and reads no setting that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from segviz.settings import Settings, variable_name

ROOT = Path(__file__).parents[1]

IMPORTS = """
import importlib, os, pkgutil, sys
import segviz
from segviz.data.scenes.scene import draw_scene
from segviz.runtime import lazy_dynamo

def forbidden():
    raise AssertionError("only the command line and the server may defer torch's compiler")

lazy_dynamo.defer_compiler = forbidden
prediction = segviz.load("fla")(draw_scene(7).image)
print(prediction.model, len(segviz.show(prediction, at=(200, 200)).data) > 0)
for name in {bad}:
    del os.environ[name]  # the server's modules read them
for module in pkgutil.walk_packages(segviz.__path__, "segviz."):
    if module.name != "segviz.__main__":
        importlib.import_module(module.name)
compiler = sys.modules.get("torch._dynamo")
print(compiler is None or bool(compiler.__file__))
"""

COMMAND = """
import sys
from segviz.cli.main import main
code = main(["predict", "--model", "fla", "nowhere.png", "--out", "nowhere"])
print(code, "timm" in sys.modules, "torch._dynamo" in sys.modules)
"""

SERVER = """
import sys
from segviz.ui import server
server.preload()
print("timm" in sys.modules, "torch._dynamo" in sys.modules)
"""


def run(code: str, **environment: str) -> str:
    """What the code prints in a Python of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_bad_settings_of_the_server_break_nothing_and_no_import_puts_a_stand_in_for_torchs_compiler() -> None:
    bad = {variable_name(setting.name): "x" for setting in fields(Settings) if setting.name != "checkpoints"}
    assert "SEGVIZ_QUEUE" in bad
    assert run(IMPORTS.format(bad=tuple(bad)), **bad).splitlines() == ["fla True", "True"]


def test_a_command_does_not_import_torchs_compiler() -> None:
    assert run(COMMAND) == "1 True False"


@pytest.mark.slow  # as does a test of the page of results, with pages that run
def test_the_server_does_not_import_torchs_compiler() -> None:
    assert run(SERVER) == "True False"
